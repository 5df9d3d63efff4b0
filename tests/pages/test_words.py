"""How numbers and times read on the pages."""

from datetime import UTC, datetime, timedelta

import pytest
from django.http import QueryDict
from django.template import RequestContext, Template
from django.test import RequestFactory
from django.utils import timezone

from core.templatetags import ui
from core.text import span_words

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (None, "–"),
        (0, "0 ms"),
        (999, "999 ms"),
        (1200, "1.2 s"),
        (42_900, "42 s"),
        (184_000, "3 min 04 s"),
        (7_500_000, "2 h 05 min"),
        (273_600_000, "3 d 4 h"),
    ],
)
def test_a_duration_reads_in_its_fitting_unit(milliseconds: int | None, words: str) -> None:
    assert ui.duration(milliseconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "–"), (0, "0 s"), (45, "45 s"), (1800, "30 min"), (5400, "1 h 30 min"), (90_061, "1 d 1 h")]
)
def test_a_span_reads_in_its_two_largest_units(seconds: int | None, words: str) -> None:
    assert ui.span(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "parts", "words"),
    [
        (0.9, 2, "0 seconds"),
        (1, 2, "1 second"),
        (1800, 2, "30 minutes"),
        (93_600, 2, "1 day 2 hours"),
        (93_784, 2, "1 day 2 hours"),
        (93_784, 4, "1 day 2 hours 3 minutes 4 seconds"),
        (7199, 1, "1 hour"),
    ],
)
def test_a_span_in_a_sentence_is_written_out(seconds: float, parts: int, words: str) -> None:
    assert span_words(seconds, parts) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (None, "–"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_468_006, "1.4 MiB"),
        (48 * 1024**2, "48 MiB"),
        (1024**2 - 1, "1.0 MiB"),
        (3 * 1024**3, "3.0 GiB"),
        (3 * 1024**4, "3.0 TiB"),
    ],
)
def test_a_size_reads_in_binary_units(size: int | None, words: str) -> None:
    assert ui.in_bytes(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "just now"), (59, "59 s ago"), (60, "1 min ago"), (7200, "2 h ago"), (200_000, "2 d ago")]
)
def test_how_long_ago_reads_in_one_unit(seconds: int, words: str) -> None:
    assert ui.ago_words(seconds) == words


def test_a_time_carries_the_exact_one() -> None:
    assert ui.exact(datetime(2026, 11, 25, 7, 22, 41, tzinfo=UTC)) == (
        '<time datetime="2026-11-25T07:22:41+00:00" data-time="exact" title="2026-11-25 07:22:41 UTC">2026-11-25 07:22:41</time>'
    )
    assert ">in 4 min" in ui.until(timezone.now() + timedelta(minutes=4, seconds=30))
    assert ">now<" in ui.until(timezone.now() - timedelta(minutes=4))
    assert "–" in ui.ago(None)


def test_a_link_keeps_the_query_and_changes_what_it_names() -> None:
    request = RequestFactory().get("/history/?q=a%26b&status=failed&status=lost&cursor=b9")
    template = Template('{% query cursor="b5" %}|{% query_without "status" %}')
    first, second = template.render(RequestContext(request)).replace("&amp;", "&").split("|")
    assert QueryDict(first[1:]).dict() == {"q": "a&b", "status": "lost", "cursor": "b5"}
    assert QueryDict(first[1:]).getlist("status") == ["failed", "lost"]
    assert QueryDict(second[1:]).dict() == {"q": "a&b"}
