"""What an exit record means, in words."""

from typing import Any

import pytest

from engine.outcome import outcome_of
from history.status import Status

pytestmark = pytest.mark.once

MIB = 1024 * 1024


def reason_of(record: dict[str, Any], timeout_seconds: int = 60) -> tuple[Status, str]:
    end = outcome_of(record, timeout_seconds=timeout_seconds, stopped_by="")
    return Status(end.status), end.reason


@pytest.mark.parametrize(
    ("cause", "used", "limit", "said"),
    [
        ("output", 3 * MIB // 2, MIB, "It printed more than its limit of 1 MiB (1.5 MiB) and was stopped."),
        # What is rounded to the limit itself would deny that it was passed.
        ("output", MIB + 44, MIB, "It printed more than its limit of 1 MiB (1,048,620 bytes) and was stopped."),
        ("memory", 1503 * MIB, 1500 * MIB, "It used more memory than its limit of 1,500 MiB (1,503 MiB) and was stopped."),
        ("cpu", 91, 90, "It used more processor time than its limit of 1 minute 30 seconds (1 minute 31 seconds) and was stopped."),
        ("processes", 1001, 1000, "It had more processes at once than its limit of 1,000 (1,001) and was stopped."),
        ("disk", 5 * MIB, None, "It filled its directory beyond its limit (5 MiB) and was stopped."),
    ],
)
def test_a_limit_that_was_passed_is_told_with_what_was_used(cause: str, used: int, limit: int | None, said: str) -> None:
    assert reason_of({"cause": cause, "detail": str(used), "limit": limit}) == (Status.FAILED, said)


@pytest.mark.parametrize(("seconds", "words"), [(1, "1 second"), (1800, "30 minutes"), (90_061, "1 day 1 hour 1 minute 1 second")])
def test_a_time_out_is_told_to_the_second(seconds: int, words: str) -> None:
    said = f"It ran longer than its limit of {words} and was stopped."
    assert reason_of({"cause": "timeout"}, seconds) == (Status.TIMEOUT, said)
