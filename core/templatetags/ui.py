"""Words and marks that all pages share: icons, status badges, times, sizes, fields. Built into every template."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

from django import template
from django.forms import BaseForm, BoundField, CheckboxInput
from django.http import QueryDict
from django.template.context import RequestContext
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.paging import Page
from core.parameters import text_of
from core.text import DAY, HOUR, MINUTE, size_words, span_words

register = template.Library()

DASH = "–"


class State(Protocol):
    """What a status must offer to be shown; `history.status.Status` does."""

    value: str
    label: str
    icon: str
    tone: str


@register.simple_tag
def icon(name: str, classes: str = "", label: str = "") -> SafeString:
    """A symbol of the sprite; decorative, unless `label` gives it words."""
    css = f"icon {classes}".strip()
    address = f"{static('icons/sprite.svg')}#{name}"
    if label:
        return format_html('<svg class="{}" role="img" aria-label="{}"><use href="{}"></use></svg>', css, label, address)
    return format_html('<svg class="{}" aria-hidden="true"><use href="{}"></use></svg>', css, address)


@register.simple_tag
def status(state: State, small: bool = False) -> SafeString:
    """A state as a badge: icon, word and colour. `small`: the word is a tooltip and for screen readers."""
    css = f"badge {state.tone} is-{state.value}{' small' if small else ''}"
    word = format_html('<span class="visually-hidden">{}</span>', state.label) if small else format_html("<span>{}</span>", state.label)
    title = format_html(' title="{}"', state.label) if small else ""
    return format_html('<span class="{}"{}>{}{}</span>', css, title, icon(state.icon), word)


# Times. Each is a <time> with the exact one as its title; static/js/app.js keeps them fresh and in the viewer's zone.


def _time(kind: str, moment: datetime | None, words: str) -> SafeString:
    if moment is None:
        return SafeString(f'<span class="faint">{DASH}</span>')
    utc = moment.astimezone(UTC)
    exact = f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    return format_html('<time datetime="{}" data-time="{}" title="{}">{}</time>', utc.isoformat(), kind, exact, words)


def _seconds_from_now(moment: datetime | None) -> float:
    return (moment - timezone.now()).total_seconds() if moment else 0


@register.simple_tag
def ago(moment: datetime | None) -> SafeString:
    """How long ago: "3 min ago"."""
    return _time("ago", moment, ago_words(-_seconds_from_now(moment)))


@register.simple_tag
def until(moment: datetime | None) -> SafeString:
    """A countdown: "in 4 min 10 s"."""
    seconds = _seconds_from_now(moment)
    return _time("until", moment, f"in {duration(seconds * 1000)}" if seconds >= 1 else "now")


@register.simple_tag
def exact(moment: datetime | None) -> SafeString:
    """Date and time to the second, in the viewer's zone once the page's script has run."""
    return _time("exact", moment, f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if moment else DASH)


@register.simple_tag
def since(moment: datetime | None) -> SafeString:
    """A duration that ticks: how long something has been going on."""
    return _time("since", moment, duration(max(0, -_seconds_from_now(moment)) * 1000))


def ago_words(seconds: float) -> str:
    """The same words as `agoWords` in static/js/app.js."""
    if seconds < 5:
        return "just now"
    for size, word in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {word} ago"
    return f"{int(seconds)} s ago"


@register.filter
def duration(milliseconds: float | None) -> str:
    """`340 ms`, `1.2 s`, `42 s`, `3 min 04 s`, `2 h 05 min`, `3 d 4 h`."""
    if milliseconds is None:
        return DASH
    if milliseconds < 1000:
        return f"{int(milliseconds)} ms"
    if milliseconds < 10_000:
        return f"{milliseconds / 1000:.1f} s"
    seconds = int(milliseconds // 1000)
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min {seconds % MINUTE:02d} s"
    if seconds < DAY:
        return f"{seconds // HOUR} h {seconds % HOUR // MINUTE:02d} min"
    return f"{seconds // DAY} d {seconds % DAY // HOUR} h"


@register.filter(name="seconds")
def of_seconds(seconds: float | None) -> str:
    """Seconds that were measured, as `duration`."""
    return DASH if seconds is None else duration(seconds * 1000)


@register.filter
def span(seconds: int | None) -> str:
    """A chosen span in its fitting unit: `45 s`, `30 min`, `1 h 30 min`."""
    return DASH if seconds is None else span_words(seconds, short=True)


@register.filter(name="bytes")
def in_bytes(size: float | None) -> str:
    """`900 B`, `1.4 MiB`: as `size_words`."""
    return DASH if size is None else size_words(size)


@register.filter
def as_typed(value: Any) -> str:
    """A value of JSON as people type it: text as it is, all else as JSON."""
    return text_of(value)


@register.filter
def share(number: float | None) -> str:
    """A share from 0 to 1 in per cent, without the sign."""
    return DASH if number is None else str(int(number * 100))


# Forms


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, label: str = "", hint: str = "", **attributes: str) -> dict[str, Any]:
    """Label, control, help and errors of one form field; `class` goes onto the whole."""
    return {
        "field": bound,
        "label": label or bound.label,
        "hint": hint or bound.help_text,
        "css": attributes.get("class", ""),
        "is_check": isinstance(bound.field.widget, CheckboxInput),
    }


@register.inclusion_tag("components/form_errors.html")
def form_errors(form: BaseForm) -> dict[str, Any]:
    """What is wrong with the form as a whole."""
    return {"errors": form.non_field_errors()}


# Links


@register.simple_tag(takes_context=True)
def query(context: RequestContext, **changes: Any) -> str:
    """The present query string with some values changed; None or "" takes one away."""
    assert context.request is not None
    values = context.request.GET.copy()
    for name, value in changes.items():
        _change(values, name, value)
    return f"?{values.urlencode()}"


@register.simple_tag(takes_context=True)
def query_without(context: RequestContext, name: str) -> str:
    """The present query string without one value, from the first page on."""
    return query(context, **{name: None, "cursor": None})


def _change(values: QueryDict, name: str, value: Any) -> None:
    if value in (None, ""):
        values.pop(name, None)
    elif isinstance(value, Iterable) and not isinstance(value, str):
        values.setlist(name, [str(item) for item in value])
    else:
        values[name] = str(value)


@register.inclusion_tag("components/pager.html", takes_context=True)
def pager(context: RequestContext, page: Page[Any], target: str = "") -> dict[str, Any]:
    """Links to the neighbouring pages; with `target`, htmx puts them there and changes the address."""
    return {
        "newer": query(context, cursor=page.previous) if page.previous else "",
        "older": query(context, cursor=page.next) if page.next else "",
        "target": target,
    }
