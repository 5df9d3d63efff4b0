"""What is told while the script runs. A pipe to its supervisor; a full one never holds the script up."""

import json
import os

# Whether the script tells its progress itself: then nothing else does.
told = False


def progress(done, total=None, message=""):
    """Tell how far the script is: `done` of `total` things, or a share from 0 to 1 when there is no total.

    `progress(3, 10, "page 3")`, `progress(0.5)`, `progress(None, message="still looking")`. A report that finds the channel
    full is dropped, and a later one counts.
    """
    global told
    told = True
    share = None if done is None else float(done) / float(total) if total else float(done)
    report(share, message)


def report(share, message):
    channel = os.environ.get("PYSCHED_CHANNEL", "")
    if not channel.isdigit():
        return
    line = json.dumps({"share": share, "message": str(message)[:200]}) + "\n"
    try:
        descriptor = int(channel)
        os.set_blocking(descriptor, False)
        os.write(descriptor, line.encode("utf-8", "replace"))
    except OSError:
        pass
