"""Progress bars in what a script prints (`tqdm` and its like): how far it is, though it does not use `threadkit`."""

import re

# At the start of a line that is drawn over again and again, perhaps behind the bar's name.
_BAR = re.compile(rb"\r[^\r\n]{0,200}?\b(\d{1,3})%\|")
_LAST = 1024


class Bars:
    """The share that the last bar shows. `share` is None until there was one."""

    def __init__(self) -> None:
        self.share: float | None = None

    def look(self, piece: bytes) -> bool:
        """Does this piece of the output tell another percentage than the one before?"""
        if b"%|" not in piece:
            return False
        found = _BAR.findall(piece[-_LAST:])
        share = min(100, int(found[-1])) / 100 if found else self.share
        is_news = share != self.share
        self.share = share
        return is_news
