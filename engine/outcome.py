"""From an exit record to a status and a reason in words. Pure."""

import signal
from datetime import UTC, datetime
from typing import Any

from core.text import printable, span_words
from history.ledger import StepEnd
from history.status import Status


def outcome_of(record: dict[str, Any], *, timeout_seconds: int, stopped_by: str, last_line: str = "") -> StepEnd:
    """What the exit record means; `last_line` of the log helps to say why a script failed."""
    status, reason = _judge(record, timeout_seconds, stopped_by, last_line)
    notes = []
    if record.get("left_behind"):
        count = record["left_behind"]
        notes.append(f"{count} process{'es' if count > 1 else ''} it left running {'were' if count > 1 else 'was'} stopped.")
    if record.get("log_fault"):
        notes.append(f"Parts of its log could not be kept ({record['log_fault']}).")
    if record.get("log_is_cut"):
        notes.append("Its log was cut off at the size limit.")
    exit_code = record.get("exit_code")
    if exit_code is None and record.get("signal"):
        exit_code = -record["signal"]
    return StepEnd(
        status=status,
        reason=" ".join([reason, *notes]).strip(),
        exit_code=exit_code,
        started_at=_moment(record.get("started_at")),
        finished_at=_moment(record.get("finished_at")) or datetime.now(UTC),
        cpu_seconds=record.get("cpu_seconds"),
        peak_memory_bytes=record.get("peak_memory_bytes"),
    )


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None


def _judge(record: dict[str, Any], timeout_seconds: int, stopped_by: str, last_line: str) -> tuple[Status, str]:
    detail = printable(record.get("detail", "")).rstrip(".")
    match record.get("cause", "damaged"):
        case "timeout":
            return Status.TIMEOUT, f"It ran longer than its limit of {span_words(timeout_seconds, parts=4)} and was stopped."
        case "stopped":
            return Status.STOPPED, f"{detail}." if detail else (f"Stopped by {stopped_by}." if stopped_by else "It was stopped.")
        case "memory" | "disk" | "output" | "cpu" | "processes" as cause:
            return Status.FAILED, f"{_excess(cause, int(detail), record.get('limit'))} and was stopped."
        case "start":
            return Status.FAILED, f"It could not be started: {detail}."
        case "supervisor":
            return Status.LOST, f"Its supervisor died ({detail}), so the script was stopped: how far it got is not known."
        case "lost":
            return Status.LOST, f"{detail}."
        case "damaged":
            return Status.LOST, "The record of its end is damaged: how far it got is not known."
        case _:
            return _judge_exit(record, last_line)


def _excess(cause: str, used: int, limit: int | None) -> str:
    """Which limit was passed, what it is, and what was used when that was seen."""
    most, seen = "" if limit is None else _amount(cause, limit), _amount(cause, used)
    if seen == most:
        seen = f"{used:,} bytes"  # More by less than is rounded away.
    of = f" of {most}" if most else ""
    match cause:
        case "memory":
            said = f"It used more memory than its limit{of}"
        case "disk":
            said = f"It filled its directory beyond its limit{of}"
        case "output":
            said = f"It printed more than its limit{of}"
        case "cpu":
            said = f"It used more processor time than its limit{of}"
        case _:
            said = f"It had more processes at once than its limit{of}"
    return f"{said} ({seen})"


def _amount(cause: str, count: int) -> str:
    match cause:
        case "cpu":
            return span_words(count, parts=4)
        case "processes":
            return f"{count:,}"
    return _size(count)


def _judge_exit(record: dict[str, Any], last_line: str) -> tuple[Status, str]:
    if record.get("exit_code") == 0:
        return Status.SUCCESS, ""
    said = f" {last_line}" if last_line else ""
    if record.get("exit_code") is not None:
        return Status.FAILED, f"Exit code {record['exit_code']}.{said}"
    number = record.get("signal")
    if number is None:
        return Status.LOST, "Nothing is known of how it ended."
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return Status.FAILED, f"Ended by {name} ({signal.strsignal(number) or 'a signal'})."


def _size(count: int) -> str:
    """In MiB, as the limits are set."""
    return f"{count / 1024 / 1024:,.1f} MiB".replace(".0 MiB", " MiB")
