"""What a script finds: its interpreter, its arguments, its environment variables. Nothing of the platform's."""

import compileall
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from core import layout
from history.models import StepRun
from threads.limits import LIMITS, limit_of

# Of the platform's own environment these alone pass: without them TLS, proxies or local time break.
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PASSED_ON = (
    "TZ", *CERTIFICATES, "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
MIB = 1024 * 1024
TOOLKIT = Path(settings.BASE_DIR, "threadkit")


def compile_toolkit() -> None:
    """Bytecode for the platform's own Python, kept beside the source: a script that had to compile it would start a millisecond later.

    Where the platform may not write there, scripts do that.
    """
    compileall.compile_dir(TOOLKIT, quiet=2)


def arguments(parameters: dict[str, Any]) -> list[str]:
    """Parameters as command-line arguments, built without a shell: `--name=value`; `--flag` for true, nothing for false.

    In the order of their names (PostgreSQL keeps no other). A list gives the option once per element. Underscores in names
    become hyphens, as argparse users write them.
    """
    words = []
    for name, value in sorted(parameters.items()):
        option = f"--{name.replace('_', '-')}"
        for item in value if isinstance(value, list) else [value]:
            if item is True:
                words.append(option)
            elif item is not None and item is not False:
                words.append(f"{option}={item if isinstance(item, str) else json.dumps(item)}")
    return words


def variables(step: StepRun, python: str, directory: Path, input_path: Path | None, given: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a script, but for its secrets; `given` are the variables of its team and thread."""
    found = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**found, "LANG": "C.UTF-8", **given} | {
        "PATH": f"{Path(python).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(directory),
        "PYTHONPATH": str(TOOLKIT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYSCHED_RUN_ID": str(step.run_id),
        "PYSCHED_RUN_DIR": str(directory),
        "PYSCHED_STEP": step.safe_name,
        "PYSCHED_STATE": str(layout.kept_state(step.run.output_dir, step.position, step.safe_name)),
        "PYSCHED_ATTEMPT": str(step.attempt),
        "PYSCHED_INPUT": str(input_path) if input_path else "",
        "PYSCHED_PARAMETERS": json.dumps(step.parameters),
        "PYSCHED_URL": settings.PUBLIC_URL,
    }


def own_places(directory: Path, temporary: Path | None) -> dict[str, str]:
    """Where a script finds itself; `temporary` is None where `/tmp` is its own."""
    names = {"HOME": str(directory), "USER": "runner", "LOGNAME": "runner"}
    return names | {"TMPDIR": str(temporary)} if temporary else names


def enforced(own: Mapping[str, int]) -> dict[str, int | None]:
    """The limits that the supervisor enforces on the tree as a whole: the thread's own, else the platform's, else None."""
    held = {name: limit_of(name, own) for name in LIMITS}
    sizes = {name: held[name] for name in ("memory_limit_mb", "directory_limit_mb", "output_limit_mb")}
    in_bytes = {name.replace("_mb", "_bytes"): None if size is None else size * MIB for name, size in sizes.items()}
    return {**in_bytes, "cpu_limit_seconds": held["cpu_limit"], "process_limit": held["process_limit"]}


def limits(of_tree: Mapping[str, int | None]) -> dict[str, int]:
    """Resource limits by their names in `resource`: a backstop for each process; the supervisor watches the tree as a whole."""
    memory, directory = of_tree["memory_limit_bytes"] or 0, of_tree["directory_limit_bytes"] or 0
    return {
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": 1024,
        # The supervisor lives under it too, and it writes the log.
        "RLIMIT_FSIZE": max(directory, 2 * settings.LOG_LIMIT_BYTES),
        # Above the limit that is enforced, so that libraries which reserve more than they use still load.
        "RLIMIT_DATA": memory * 3 // 2 + 256 * MIB,
    }
