"""What a script may say to PyScheduler. Standard library only, Python 3.8 and newer, harmless outside the platform."""

import json
import os

__all__ = ["parameters", "progress"]


def parameters():
    """The run's parameters as a dict; empty outside the platform."""
    return json.loads(os.environ.get("PYSCHED_PARAMETERS", "{}"))


def progress(done, total=None, message=""):
    """Tell how far the script is: `done` of `total` things, or a share from 0 to 1 when there is no total.

    A full channel never holds the script up: then this report is dropped and a later one counts.
    """
    share = None if done is None else float(done) / float(total) if total else float(done)
    channel = os.environ.get("PYSCHED_CHANNEL", "")
    if not channel.isdigit():
        return
    report = json.dumps({"share": share, "message": str(message)[:200]}) + "\n"
    try:
        descriptor = int(channel)
        os.set_blocking(descriptor, False)
        os.write(descriptor, report.encode("utf-8", "replace"))
    except OSError:
        pass
