"""The start page, the history and the run page in a real browser: under the strict policy, on a phone, by keyboard.

The live stream is not served here; its messages are dispatched by the tests, as live.js would.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from history.models import Run, StepRun
from history.status import Status
from tests import browser
from tests.conftest import People

pytestmark = [
    pytest.mark.browser,
    pytest.mark.usefixtures("django_db_setup"),  # Before the live server, which must know the database that it shares.
    pytest.mark.skipif(browser.CHROMIUM is None, reason="Chromium is not installed; `make test-deps` installs it on Debian"),
]
Make = Callable[..., Any]


@contextmanager
def page_of(live_server: Any, client: Client, **options: Any) -> Iterator[Any]:
    """A page with the client's session; at the end the browser has found no fault with what it was shown."""
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    with browser.opened(base_url=live_server.url, **options) as page:
        page.context.add_cookies([cookie])
        faults = browser.faults_of(page)
        yield page
        assert [fault for fault in faults if "/live?" not in fault] == []


def tell(page: Any, **detail: Any) -> None:
    page.evaluate("detail => document.body.dispatchEvent(new CustomEvent('ps:run', {bubbles: true, detail}))", detail)


@pytest.fixture
def running(make_run: Make, make_process: Make, make_thread: Make) -> Run:
    threads = [make_thread("Fetch " + "very " * 15 + "long"), make_thread("Left"), make_thread("Right")]
    run: Run = make_run(make_process("Nightly", threads, stages=[1, 2, 2]))
    now = timezone.now()
    Run.objects.filter(pk=run.pk).update(status=Status.RUNNING, started_at=now, claim_token="claimed", progress=0.2)
    StepRun.objects.filter(run=run, stage=1).update(status=Status.RUNNING, started_at=now)
    return run


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_pages_fit_and_obey_the_policy(live_server: Any, as_user: Make, people: People, running: Run, width: int, scheme: str) -> None:
    addresses = ["/", "/history/", "/history/?q=nothing", f"/history/{running.pk}"]
    with page_of(live_server, as_user(people.runner), viewport={"width": width, "height": 844}, color_scheme=scheme) as page:
        for address in addresses:
            assert page.goto(address).ok
            page.wait_for_selector("html[data-ready]")
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{address} is wider than the screen"
            assert page.locator("nav[aria-label=Main] a").first.is_visible()


def test_filters_change_rows_and_address_without_a_reload(
    live_server: Any, as_user: Make, people: People, make_run: Make, make_thread: Make
) -> None:
    make_run(make_thread("Fetch pages"))
    make_run(make_thread("Report"))
    with page_of(live_server, as_user(people.viewer)) as page:
        page.goto("/history/")
        page.evaluate("window.same = true")
        page.fill("#id_q", "report")
        expect(page.locator(".run-row")).to_have_count(1)
        page.check("input[value=failed]", force=True)
        page.get_by_role("heading", name="No matches").wait_for()
        assert page.url.endswith("/history/?q=report&status=failed")
        assert page.evaluate("window.same")
        page.reload()
        assert page.locator("input[value=failed]").is_checked()


def test_a_new_run_appears_in_the_list_when_it_is_told(live_server: Any, as_user: Make, people: People, running: Run) -> None:
    with page_of(live_server, as_user(people.viewer)) as page:
        page.goto("/history/?status=running")
        assert page.locator(".run-row").count() == 1
        page.route("**/history/?status=running", lambda route: route.fulfill(body='<section class="card" id="runs">told</section>'))
        tell(page, id=running.pk, status="running")
        page.get_by_text("told").wait_for()


def test_a_stop_asks_first_and_no_is_no(live_server: Any, as_user: Make, people: People, running: Run) -> None:
    client = as_user(people.runner)
    with page_of(live_server, client) as page:
        page.goto(f"/history/{running.pk}")
        page.wait_for_selector("html[data-ready]")
        page.get_by_role("button", name="Stop").click()
        assert "killed with all their children" in page.locator("#confirm").inner_text()
        page.keyboard.press("Escape")
        assert page.locator("#confirm").is_hidden()
        assert page.get_by_text("Stopping", exact=True).count() == 0
        page.get_by_role("button", name="Stop").click()
        page.keyboard.press("Enter")
        page.get_by_text("Stopping", exact=True).wait_for()
        assert "was told to stop" in page.locator("#toasts").inner_text()
    assert Run.objects.get(pk=running.pk).stop_requested_by == "runner"


def test_a_run_page_shows_progress_and_its_end_without_a_reload(live_server: Any, as_user: Make, people: People, running: Run) -> None:
    with page_of(live_server, as_user(people.viewer)) as page:
        page.goto(f"/history/{running.pk}")
        page.wait_for_selector("html[data-ready]")
        page.evaluate(
            "detail => document.body.dispatchEvent(new CustomEvent('ps:progress', {bubbles: true, detail}))",
            {"run": running.pk, "position": 1, "share": 0.6, "message": "page 6 of 10"},
        )
        assert page.locator(f"[data-progress='{running.pk}']").evaluate("bar => bar.value") == pytest.approx(0.2)
        assert page.locator(f"[data-step-progress='{running.pk}:1']").evaluate("bar => bar.value") == pytest.approx(0.6)
        assert page.get_by_text("page 6 of 10").count() == 1
        answer = page.request.get(f"/history/{running.pk}", headers={"HX-Request": "true", "HX-Request-Type": "partial"}).text()
        ended = answer.replace("<span>Running</span>", "<span>Failed</span>")
        page.route(f"**/history/{running.pk}", lambda route: route.fulfill(body=ended))
        tell(page, id=running.pk, number=running.number, name="Nightly", status="failed", reason="Fetch broke.")
        page.locator("#run-heading").get_by_text("Failed").wait_for()
        assert page.locator("#announcer").inner_text() == "Nightly #1 failed. Fetch broke."
        assert page.locator("ps-log").count() == 1


def test_the_end_of_a_watched_run_is_noticed_elsewhere(live_server: Any, as_user: Make, people: People, running: Run) -> None:
    with page_of(live_server, as_user(people.viewer)) as page:
        page.goto(f"/history/{running.pk}")
        page.wait_for_selector("html[data-ready]")
        page.goto("/")
        page.wait_for_selector("html[data-ready]")
        tell(page, id=running.pk + 1, number=2, name="Other", status="failed")
        tell(page, id=running.pk, number=1, name="Nightly", status="success")
        toast = page.locator(".toast")
        assert toast.inner_text() == "Nightly #1 succeeded."
        assert toast.locator("a").get_attribute("href") == reverse("history:run", args=[running.pk])


def test_keyboard_alone_reaches_content_search_and_theme(live_server: Any, as_user: Make, people: People, running: Run) -> None:
    with page_of(live_server, as_user(people.viewer), color_scheme="dark") as page:
        page.goto("/history/")
        page.wait_for_selector("html[data-ready]")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "id_q"
        menu = page.locator(".sidebar .menu summary")
        menu.focus()
        page.keyboard.press("Enter")
        page.get_by_role("menuitemradio", name="Light").focus()
        page.keyboard.press("Enter")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(246, 246, 248)"
        page.keyboard.press("Escape")
        assert menu.evaluate("summary => summary === document.activeElement && !summary.parentElement.open")
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_times_are_shown_in_the_viewers_zone(live_server: Any, as_user: Make, people: People, running: Run) -> None:
    with page_of(live_server, as_user(people.viewer), timezone_id="Asia/Tokyo") as page:
        page.goto(f"/history/{running.pk}")
        page.wait_for_selector("html[data-ready]")
        shown = page.locator("time[data-time=exact]").first
        local = page.evaluate("text => new Date(text).toLocaleString('sv-SE', {timeZone: 'Asia/Tokyo'})", shown.get_attribute("datetime"))
        assert shown.inner_text() == local
