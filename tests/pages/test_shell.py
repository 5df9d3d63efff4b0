"""The frame around every page: log-in, navigation, refusals, and the rule that pages carry no script or style of their own."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from events.models import Event
from events.services import publish
from history.status import ICONS
from pyscheduler.context import NAV
from tests.conftest import People

BASE = Path(settings.BASE_DIR)
FORBIDDEN = re.compile(
    r"hx-on|hx-vals=['\"]?js:|hx-trigger=['\"][^'\"]*\[|\sstyle=|<style|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", re.IGNORECASE
)


@pytest.mark.parametrize("path", sorted((BASE / "templates").rglob("*.html")), ids=lambda path: str(path.relative_to(BASE)))
def test_a_template_carries_no_script_or_style_of_its_own(path: Path) -> None:
    found = [line.strip() for line in path.read_text().splitlines() if FORBIDDEN.search(line)]
    assert found == []


def test_every_icon_that_is_named_is_in_the_sprite() -> None:
    sprite = (BASE / "static/icons/sprite.svg").read_text()
    there = set(re.findall(r'<symbol id="([^"]+)"', sprite))
    named = {name for path in (BASE / "templates").rglob("*.html") for name in re.findall(r'{% icon "([^"]+)"', path.read_text())}
    assert named | set(ICONS.values()) | {icon for _, _, icon in NAV} <= there


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


def test_who_is_not_logged_in_is_led_to_the_log_in_and_back(client: Client, people: People) -> None:
    answer = client.get("/history/?status=failed")
    assert answer.status_code == 302
    assert answer["Location"] == "/login?next=/history/%3Fstatus%3Dfailed"
    answer = client.post(answer["Location"], {"username": "viewer", "password": "secret", "next": "/history/?status=failed"})
    assert answer["Location"] == "/history/?status=failed"


def test_a_wrong_password_is_said_and_the_name_is_kept(client: Client, people: People) -> None:
    answer = client.post("/login", {"username": "viewer", "password": "wrong"})
    page = answer.content.decode()
    assert "Please enter a correct username and password" in page
    assert 'value="viewer"' in page
    assert "wrong" not in page


def test_logging_out_takes_a_post(as_user: Callable[[Any], Client], people: People) -> None:
    client = as_user(people.viewer)
    assert client.get("/logout").status_code == 405
    assert client.post("/logout")["Location"] == "/login"
    assert client.get("/").status_code == 302


def test_log_in_does_not_lead_to_another_site(client: Client, people: People) -> None:
    answer = client.post("/login", {"username": "viewer", "password": "secret", "next": "https://evil.example/"})
    assert answer["Location"] == "/"


def test_a_form_without_the_token_is_refused_in_words(people: People) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.viewer)
    answer = client.post("/logout")
    assert answer.status_code == 403
    assert "The form has expired" in answer.content.decode()


def test_an_address_that_leads_nowhere_says_so_in_the_frame(as_user: Callable[[Any], Client], people: People) -> None:
    answer = as_user(people.viewer).get("/no/such/page")
    page = answer.content.decode()
    assert answer.status_code == 404
    assert "Nothing here" in page
    assert 'aria-label="Main"' in page


def test_an_unknown_address_of_the_api_answers_in_its_own_shape(as_user: Callable[[Any], Client], people: People) -> None:
    answer = as_user(people.viewer).get("/api/v1/no-such-thing")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_navigation_marks_where_one_is(as_user: Callable[[Any], Client], people: People) -> None:
    page = as_user(people.viewer).get("/history/").content.decode()
    assert re.search(r'href="/history/" aria-current="page"', page)
    assert page.count('aria-current="page"') == 1


def test_the_policy_allows_no_inline_script(as_user: Callable[[Any], Client], people: People) -> None:
    policy = as_user(people.viewer).get("/")["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_htmx_carries_the_token_of_the_session(as_user: Callable[[Any], Client], people: People) -> None:
    page = as_user(people.viewer).get("/").content.decode()
    assert re.search(r"""<body hx-headers:inherited='{"X-CSRFToken": "\w{32,}"}'""", page)


def test_a_page_begins_its_stream_at_what_it_saw(as_user: Callable[[Any], Client], people: People) -> None:
    publish("run", 1, team_id=people.team.pk, status="queued")
    page = as_user(people.viewer).get("/").content.decode()
    assert f'data-live-cursor="{Event.objects.latest("pk").pk}"' in page


def test_a_session_that_ended_sends_htmx_to_the_log_in(client: Client, people: People) -> None:
    answer = client.get("/history/", headers={"HX-Request": "true", "HX-Request-Type": "partial"})
    assert answer.status_code == 200
    assert answer["HX-Redirect"].startswith("/login")


def test_a_refusal_reaches_htmx_as_a_sentence(as_user: Callable[[Any], Client], people: People, make_run: Callable[..., Any]) -> None:
    run = make_run()
    answer = as_user(people.viewer).post(reverse("history:stop", args=[run.pk]), headers={"HX-Request": "true"})
    assert answer.status_code == 403
    assert "<html" not in answer.content.decode()
    assert "This needs the Runner role" in answer.content.decode()


@pytest.mark.parametrize("address", ["/", "/history/"])
def test_a_page_answers_head_as_monitors_ask(as_user: Callable[[Any], Client], people: People, address: str) -> None:
    assert as_user(people.viewer).head(address).status_code == 200


def test_what_is_an_icon_alone_has_a_name_and_a_tooltip() -> None:
    pages = "".join(path.read_text() for path in (BASE / "templates").rglob("*.html"))
    icons = re.findall(r'<[^<>]*class="icon-button[^<>]*>', pages)
    assert len(icons) > 20
    assert [tag for tag in icons if "aria-label=" not in tag or "title=" not in tag] == []
