"""How numbers and times read on the pages."""

from datetime import UTC, datetime, timedelta

import pytest
from django.http import QueryDict
from django.template import RequestContext, Template
from django.test import RequestFactory
from django.utils import timezone

from core.templatetags import ui

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
    ("size", "words"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_400_000, "1.4 MB"), (48_300_000, "48 MB"), (3 * 10**12, "3.0 TB")],
)
def test_a_size_reads_in_decimal_units(size: int | None, words: str) -> None:
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
