"""Timings that people often want, by name: the form and the list page offer them, and an address can ask for one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Template:
    """`key` stands in addresses (`/schedules/new?template=weekday-hourly`); `words` say when it runs, in the schedule's own zone."""

    key: str
    name: str
    cron: str
    words: str


TEMPLATES = (
    Template("weekday-hourly", "Weekday hourly", "0 8-23 * * 1-5", "Monday to Friday, every hour from 08:00 to 23:00"),
    Template("weekend-three-times", "Weekend three times", "0 9,15,21 * * 6,0", "Saturday and Sunday at 09:00, 15:00 and 21:00"),
    Template("daily-evaluation", "Daily evaluation", "0 7 * * *", "Every day at 07:00"),
    Template("weekly-clean-up", "Weekly clean-up", "0 2 * * 0", "Every Sunday at 02:00"),
)


def template_of(key: str) -> Template | None:
    """None for a key that nobody has given to a template."""
    return next((template for template in TEMPLATES if template.key == key), None)
