"""What people fill in about a schedule. Forms read fields; what is allowed is said by services and preview."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import Value
from django.db.models.functions import Lower
from django.http import QueryDict

from accounts.access import fetch, teams_where
from accounts.models import User
from accounts.roles import Role
from core.errors import DomainError, InvalidInput
from core.forms import put_faults
from core.parameters import from_rows, to_rows
from core.text import natural
from processes.models import Process
from schedules.checks import REPEATING
from schedules.models import Missed, Overlap, Schedule, ScheduleKind
from schedules.preview import preview
from schedules.services import POLICIES
from schedules.templates import TEMPLATES, Template, template_of
from schedules.zones import instant_of, zone_names, zone_of, zone_to_show
from threads.forms import LimitField
from threads.models import Thread

UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
# The field of the form that shows what the domain says of one of its own.
SHOWN_AT = {"interval_seconds": "interval"}


def shown_at_fields(error: DomainError) -> DomainError:
    return InvalidInput(error.message, fields={SHOWN_AT.get(name, name): messages for name, messages in error.fields.items()})


class ScheduleForm(forms.Form):
    """Target, kind with its own fields, zone, and what a run is given. All kinds' fields are there; the kind's own count."""

    name = forms.CharField(required=False, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    target = forms.ChoiceField(
        error_messages={"required": "Choose a thread or a process.", "invalid_choice": "Choose a thread or a process."}
    )
    kind = forms.ChoiceField(choices=ScheduleKind.choices, initial=ScheduleKind.CRON, widget=forms.RadioSelect)
    cron = forms.CharField(
        initial="0 7 * * *",
        error_messages={"required": "Give a cron expression, like 0 7 * * *."},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "0 7 * * *", "class": "mono"}),
    )
    interval = forms.CharField(
        initial="1",
        error_messages={"required": "Enter how often: a whole number, like 15."},
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    unit = forms.ChoiceField(
        choices=[(unit, unit) for unit in UNITS],
        initial="hours",
        required=False,
        widget=forms.Select(attrs={"aria-label": "Unit of the interval"}),
    )
    run_at = forms.CharField(
        error_messages={"required": "Choose the day and the time."},
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}),
    )
    timezone = forms.CharField(
        initial="UTC",
        error_messages={"required": "Choose a time zone, or UTC."},
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off", "spellcheck": "false"}),
    )
    starts_at = forms.CharField(
        label="Not before", required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"})
    )
    ends_at = forms.CharField(label="Not after", required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}))
    jitter_seconds = forms.CharField(
        label="Spread in seconds",
        required=False,
        initial="0",
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    overlap = forms.ChoiceField(label="While an earlier run goes on", choices=Overlap.choices, initial=Overlap.ALLOW, required=False)
    missed = forms.ChoiceField(
        label="Times missed while the platform is down", choices=Missed.choices, initial=Missed.LATEST, required=False
    )
    retries = LimitField("Retries of a step")
    timeout_seconds = LimitField("Timeout of a step in seconds")
    priority = forms.IntegerField(required=False, initial=0, widget=forms.NumberInput(attrs={"inputmode": "numeric"}))
    enabled = forms.BooleanField(required=False, initial=True)

    def __init__(
        self, data: QueryDict | None = None, *, user: User, schedule: Schedule | None = None, target: str = "", template: str = ""
    ) -> None:
        """`target` as `thread:5` and `template` by its key are what a form begins with; an unknown one changes nothing."""
        self.user, self.schedule, self.wanted_target = user, schedule, target
        initial = _initial_of(schedule) if schedule else {"target": target}
        if wanted := template_of(template):
            initial |= {"kind": ScheduleKind.CRON, "cron": wanted.cron}
        super().__init__(data, initial=initial)
        if data is not None:
            self._ask_for_the_kind(data.get("kind", ""))
        # Read when they are shown or checked; the preview does neither.
        self.fields["target"].choices = lambda: self.targets  # type: ignore[attr-defined]
        names = data.getlist("parameter-name") if data is not None else []
        values = data.getlist("parameter-value") if data is not None else []
        self.pairs = list(zip(names, values, strict=False)) if data is not None else to_rows(schedule.parameters if schedule else {})

    def _ask_for_the_kind(self, kind: str) -> None:
        """Only the fields of the chosen kind have to be filled in."""
        fields = {"cron": ScheduleKind.CRON, "interval": ScheduleKind.INTERVAL, "run_at": ScheduleKind.ONCE}
        for name, of_kind in fields.items():
            self.fields[name].required = kind == of_kind

    @cached_property
    def targets(self) -> list[Any]:
        """Threads and processes of the schedule's team, or of all teams where one may write."""
        teams = [self.schedule.team] if self.schedule else teams_where(self.user, Role.EDITOR)
        processes = Process.objects.filter(team__in=teams).values_list("pk", "name", "team__name", Value(""), "safe_name")
        threads = Thread.objects.filter(team__in=teams).values_list("pk", "name", "team__name", "folder__name", "safe_name")
        groups: list[Any] = [("", "Choose…")]
        for label, kind, rows in (("Processes", "process", processes), ("Threads", "thread", threads)):
            found = list(rows.order_by(Lower("name"), "pk"))
            groups.append((label, [(f"{kind}:{row[0]}", words) for row, words in zip(found, told_apart(found), strict=True)]))
        return groups

    def target_chosen(self) -> Thread | Process:
        kind, _, pk = self.cleaned_data["target"].partition(":")
        if kind == "thread":
            return fetch(Thread.objects.select_related("team"), self.user, Role.EDITOR, pk=int(pk))
        return fetch(Process.objects.select_related("team"), self.user, Role.EDITOR, pk=int(pk))

    def values(self) -> dict[str, Any]:
        """All that a schedule is made of, as the services take it."""
        target = self.target_chosen()
        return {
            "name": self.cleaned_data["name"] or target.name,
            "target": target,
            "enabled": self.cleaned_data["enabled"],
            "priority": self.cleaned_data["priority"] or 0,
            "overlap": self.cleaned_data["overlap"] or Overlap.ALLOW,
            "missed": self.cleaned_data["missed"] or Missed.LATEST,
            "retries": self.cleaned_data["retries"],
            "timeout_seconds": self.cleaned_data["timeout_seconds"],
            "parameters": from_rows([name for name, _ in self.pairs], [value for _, value in self.pairs]),
            **timing_of(self.cleaned_data),
        }

    def clean(self) -> dict[str, Any]:
        """Where another field is wrong, the timing is looked at all the same: all faults are told at once."""
        kept = self.schedule is not None and {"run_at", "ends_at"}.isdisjoint(self.changed_data)
        if self.errors and not kept:
            try:
                preview(**timing_of(self.as_it_stands()), count=1)
            except InvalidInput as error:
                told = shown_at_fields(error).fields
                put_faults(self, InvalidInput(error.message, fields={name: said for name, said in told.items() if name not in self.errors}))
        return self.cleaned_data

    def as_it_stands(self) -> dict[str, str]:
        """What the fields show now, good or not; of a form that nobody has sent yet, what it begins with."""
        return {name: str(self[name].value() or "").strip() for name in self.fields}

    @property
    def has_rules(self) -> bool:
        """Is anything of them to be seen at once?"""
        names = ("starts_at", "ends_at", "jitter_seconds", "overlap", "missed")
        plain = {"", "0", Overlap.ALLOW, Missed.LATEST}
        return any(self[name].errors or str(self[name].value() or "") not in plain for name in names)

    @property
    def has_limits(self) -> bool:
        names = ("priority", "retries", "timeout_seconds")
        return bool(self.pairs) or any(self[name].errors or self[name].value() not in (None, "", 0, "0") for name in names)

    @property
    def templates(self) -> list[tuple[Template, str]]:
        """Each with the address of this same form that begins with it: it works without a script, too."""
        kept = {"target": self.wanted_target} if self.wanted_target else {}
        return [(template, f"?{urlencode(kept | {'template': template.key})}") for template in TEMPLATES]

    @property
    def zones(self) -> list[str]:
        return sorted(zone_names())


def told_apart(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """The names of (id, name, team, folder, safe name): with the team where there are several, with folder and safe name where needed."""
    several_teams = len({team for _, _, team, _, _ in rows}) > 1
    by_name = Counter((name.casefold(), team) for _, name, team, _, _ in rows)
    by_place = Counter((name.casefold(), team, folder) for _, name, team, folder, _ in rows)
    labels = []
    for _, name, team, folder, safe_name in rows:
        words = [team] if several_teams else []
        if folder and by_name[name.casefold(), team] > 1:
            words.append(f"in {folder}")
        if by_place[name.casefold(), team, folder] > 1:
            words.append(safe_name)
        labels.append(f"{name} ({', '.join(words)})" if words else name)
    return labels


def timing_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The timing as services and preview take it: the fields of the chosen kind alone. InvalidInput by field of the form."""
    kind = given.get("kind") or ScheduleKind.CRON
    return {
        "kind": kind,
        "cron": given.get("cron", "") if kind == ScheduleKind.CRON else "",
        "interval_seconds": _interval_seconds(given) if kind == ScheduleKind.INTERVAL else None,
        "run_at": _run_at(given) if kind == ScheduleKind.ONCE else None,
        "timezone": given.get("timezone", ""),
        **(_bounds(given) if kind in REPEATING else {"starts_at": None, "ends_at": None, "jitter_seconds": 0}),
    }


def _bounds(given: Mapping[str, Any]) -> dict[str, Any]:
    jitter = natural(given.get("jitter_seconds") or "0")
    if jitter is None:
        raise InvalidInput.of("jitter_seconds", "Use a whole number of seconds, like 30.")
    return {"starts_at": given.get("starts_at") or None, "ends_at": given.get("ends_at") or None, "jitter_seconds": jitter}


def _interval_seconds(given: Mapping[str, Any]) -> int:
    number = natural(given.get("interval", ""))
    if number is None:
        raise InvalidInput.of("interval", "Use a whole number, like 15.")
    return number * UNITS.get(given.get("unit", ""), 1)


def _run_at(given: Mapping[str, Any]) -> str:
    text: str = given.get("run_at", "")
    if not text:
        raise InvalidInput.of("run_at", "Choose the day and the time.")
    return text


def notes_of_once(given: Mapping[str, Any]) -> list[str]:
    """What the zone makes of the one chosen wall time, when that is not just the time itself."""
    once = given.get("kind") == ScheduleKind.ONCE
    return wall_notes(given.get("run_at", ""), given.get("timezone", "")) if once else []


def wall_notes(text: str, zone_name: str) -> list[str]:
    """Whether a wall time is jumped over, or comes twice, in its zone; nothing for what cannot be read."""
    try:
        wall, zone = datetime.fromisoformat(text), zone_of(zone_name)
        local = instant_of(wall, zone).astimezone(zone)
    except (ValueError, OverflowError, InvalidInput):
        return []
    day = f"{wall.day} {wall:%B %Y}"
    if local.replace(tzinfo=None) != wall.replace(tzinfo=None):
        return [f"{wall:%H:%M} does not exist on {day}, the clock jumps over it: runs at {local:%H:%M}."]
    if local.utcoffset() != local.replace(fold=1).utcoffset():
        return [f"{wall:%H:%M} comes twice on {day}: runs the first time."]
    return []


class StopForm(forms.Form):
    """Why nothing starts."""

    reason = forms.CharField(
        required=False, help_text="The record of each due time will say it.", widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


class PauseForm(StopForm):
    """From when to when."""

    starts_at = forms.CharField(
        label="From",
        required=False,
        help_text="In the schedule's time zone. Empty: from now.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}),
    )
    ends_at = forms.CharField(
        label="Until",
        required=False,
        help_text="In the schedule's time zone. Empty: until somebody ends it.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}),
    )


def _initial_of(schedule: Schedule) -> dict[str, Any]:
    target = f"thread:{schedule.thread_id}" if schedule.thread_id else f"process:{schedule.process_id}"
    number, unit = _in_units(schedule.interval_seconds) if schedule.interval_seconds else ("1", "hours")
    values = {name: getattr(schedule, name) for name in ("name", "kind", "cron", "timezone", "jitter_seconds", *POLICIES)}
    zone = zone_to_show(schedule.timezone)
    moments = {name: getattr(schedule, name) for name in ("run_at", "starts_at", "ends_at")}
    walls = {name: f"{moment.astimezone(zone):%Y-%m-%dT%H:%M:%S}" if moment else "" for name, moment in moments.items()}
    return values | walls | {"target": target, "interval": number, "unit": unit}


def _in_units(seconds: int) -> tuple[str, str]:
    """The largest unit that gives a whole number."""
    unit = next(name for name in reversed(UNITS) if seconds % UNITS[name] == 0)
    return str(seconds // UNITS[unit]), unit
