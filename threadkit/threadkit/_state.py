"""What is remembered from one attempt of a step to the next, and what it puts out: files in the step's own folder of the run."""

import json
import os
import re

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
# What a run's record takes, all outputs of a step together.
MAX_OUTPUT_BYTES = 50000


def folder():
    """The step's own folder; None outside the platform."""
    path = os.environ.get("PYSCHED_STATE", "")
    if not path:
        return None
    os.makedirs(path, exist_ok=True)
    return path


def write_whole(path, content):
    """The file has the whole content afterwards, on disk, or what it had before."""
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def checkpoint(state):
    """Remember how far the script is: anything JSON can hold. In place of the one before, whole or not at all.

    The next attempt of the step finds it by `restore`, whatever ended this one, and so does a run that is resumed.

        done = threadkit.restore(default=[])
        for page in pages:
            if page not in done:
                fetch(page)
                done.append(page)
                threadkit.checkpoint(done)
    """
    content = json.dumps(state).encode()
    place = folder()
    if place:
        write_whole(os.path.join(place, "checkpoint.json"), content)


def restore(default=None):
    """What the last `checkpoint` remembered; `default` when there is none, as in a first attempt."""
    place = folder()
    if not place:
        return default
    try:
        with open(os.path.join(place, "checkpoint.json"), "rb") as file:
            return json.loads(file.read())
    except FileNotFoundError:
        return default


def output(name, value):
    """Put a value out for later steps of the process and for people: anything JSON can hold, the last of a name counts.

    A later step's parameter takes it as `{{steps.STEP.outputs.NAME}}`, where STEP is this one's safe name or position.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name of an output has 1 to 100 letters, digits, hyphens and underscores, not {name!r}")
    line = json.dumps([name, value], allow_nan=False).encode() + b"\n"
    place = folder()
    if not place:
        return
    path = os.path.join(place, "outputs-" + os.environ.get("PYSCHED_ATTEMPT", "1"))
    # One write: processes of a script do not cut into each other's lines.
    with open(path, "ab", buffering=0) as file:
        if file.tell() + len(line) > MAX_OUTPUT_BYTES:
            raise ValueError(f"the outputs of a step have at most {MAX_OUTPUT_BYTES} bytes together; put {name} into a file")
        file.write(line)
