"""Pages about threads: the list with its folders, the thread with its editor, its files."""
