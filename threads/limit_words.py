"""Limits as people read them: a name, and a value with its unit."""

from core.text import span_words
from threads.limits import LIMITS

_NAMES = {
    "timeout_seconds": "Timeout",
    "memory_limit_mb": "Memory limit",
    "cpu_limit": "Limit of processor time",
    "process_limit": "Limit of processes",
    "output_limit_mb": "Limit of output",
    "directory_limit_mb": "Limit of its directory",
    "network": "Network",
}


def limit_name(name: str) -> str:
    return _NAMES.get(name, name)


def limit_value(name: str, value: str) -> str:
    """The value, which was kept as text, in words; empty: the thread had no such limit of its own."""
    if value in ("True", "False"):
        return "on" if value == "True" else "off"
    if not value.isdigit():
        return value or "none of its own"
    unit = "seconds" if name == "timeout_seconds" else LIMITS[name].unit if name in LIMITS else ""
    return span_words(int(value), parts=4) if unit == "seconds" else f"{int(value):,} {unit}".strip()
