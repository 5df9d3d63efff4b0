"""How often runs of a thread may go on at once, and when a failure is tried again."""

from typing import Any

from core.checks import is_whole, runs_fault

REPEATS = ("max_runs", "retries", "retry_delay_seconds", "retry_exit_codes")
MAX_RETRIES = 20
MAX_DELAY_SECONDS = 86_400
MAX_CODES = 50


def repeat_faults(given: dict[str, Any]) -> dict[str, list[str]]:
    """What is wrong with these settings among the given fields."""
    checks = {"max_runs": runs_fault, "retries": retries_fault, "retry_delay_seconds": _delay_fault, "retry_exit_codes": _codes_fault}
    faults = {name: check(given[name]) for name, check in checks.items() if name in given}
    return {name: [fault] for name, fault in faults.items() if fault}


def retries_fault(value: Any) -> str | None:
    return None if is_whole(value, 0, MAX_RETRIES) else f"Use a whole number from 0 to {MAX_RETRIES}."


def _delay_fault(value: Any) -> str | None:
    return None if is_whole(value, 1, MAX_DELAY_SECONDS) else f"Use a whole number of seconds from 1 to {MAX_DELAY_SECONDS:,}."


def _codes_fault(value: Any) -> str | None:
    fits = isinstance(value, list) and len(value) <= MAX_CODES and all(is_whole(code, -64, 255) for code in value)
    return None if fits else f"Use at most {MAX_CODES} exit codes from -64 (a signal's, negated) to 255."
