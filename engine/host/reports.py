"""What a script tells its supervisor while it runs, a line of JSON each. Anything may come by that way."""

import json
import math
from typing import Any

from engine.host.masking import Masker

# By this line the script's interpreter says that it comes to its end by itself (`threadkit/sitecustomize.py` writes it).
# No message can hold it: there the quotes are escaped.
ENDS_ITSELF = b'{"ends": true}\n'
LOOKED_AT = 20


def last_report(chunk: bytes, masker: Masker) -> dict[str, Any] | None:
    """Share (0 to 1, None for unknown) and message of the last good report, the secrets masked; None when there is none."""
    for line in reversed(chunk.splitlines()[-LOOKED_AT:]):
        try:
            return _checked(json.loads(line), masker)
        # Whatever a script sends: a report is a courtesy.
        except (ValueError, TypeError, OverflowError, RecursionError):
            continue
    return None


def _checked(report: Any, masker: Masker) -> dict[str, Any]:
    if not isinstance(report, dict) or "share" not in report:
        raise ValueError("no report of progress")
    share, message = report["share"], report.get("message", "")
    if share is not None:
        share = float(share)
        if not math.isfinite(share):
            raise ValueError("a share is a number")
        share = min(1.0, max(0.0, share))
    return {"share": share, "message": masker.whole(str(message))[:200]}
