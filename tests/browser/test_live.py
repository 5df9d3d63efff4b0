"""What changes is shown at once, to everybody who looks, whatever dies meanwhile."""

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gate import WAIT, let_on
from tests.browser.visitor import Visitor
from tests.platform import Platform

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]

# Three hundred lines in three parts; the second goes on for a while by itself.
TALKER = (
    WAIT
    + """
def part(first, pause):
    for number in range(first, first + 100):
        print(f"line {number}", flush=True)
        time.sleep(pause)
part(0, 0)
wait("second")
part(100, 0.01)
wait("third")
part(200, 0)
"""
)
LINES = "".join(f"line {number}\n" for number in range(300))


def shows_line(page: Page, number: int) -> None:
    expect(page.locator("ps-log .log-line").get_by_text(f"line {number}", exact=True)).to_be_attached()


def test_the_log_is_whole_after_the_web_server_was_killed(visit: Visit, site: Platform) -> None:
    run = site.run_script(TALKER, "Talker")["id"]
    visitor = visit()
    visitor.forgive(r"net::ERR_(INCOMPLETE_CHUNKED|CONNECTION|EMPTY)", "Failed to fetch")
    page = visitor.page
    visitor.go(f"/history/{run}")
    page.evaluate("window.same = true")
    shows_line(page, 99)
    let_on(site, run, "second")
    shows_line(page, 120)
    for pid in site.pids("pyscheduler web"):
        os.kill(pid, signal.SIGKILL)
    shows_line(page, 199)
    let_on(site, run, "third")
    expect(page.locator("#run-heading")).to_contain_text("Success")
    visitor.shows_log(LINES)
    assert page.evaluate("window.same")
    assert page.locator(".log-note").count() == 0


def test_the_run_ends_in_words_also_when_the_server_is_away_at_its_end(visit: Visit, site: Platform) -> None:
    run = site.run_script(WAIT + "print('begun', flush=True)\nwait('end')\nprint('ended')\n", "Quiet end")["id"]
    visitor = visit()
    visitor.forgive(r"net::ERR_", "Failed to fetch")
    page = visitor.page
    visitor.go(f"/history/{run}")
    expect(page.locator("ps-log")).to_contain_text("begun")
    # The window is cut off, not the server: the same to the page, and the run's end is sure to be missed.
    visitor.context.set_offline(True)
    with contextlib.suppress(AssertionError):
        expect(page.locator("body")).not_to_have_attribute("data-live-state", "open", timeout=2000)
    let_on(site, run, "end")
    site.finished({"id": run})
    visitor.context.set_offline(False)
    expect(page.locator("#run-heading")).to_contain_text("Success")
    expect(page.locator("ps-log")).to_contain_text("ended")
    visitor.shows_log("begun\nended\n")


def test_news_that_could_not_be_fetched_are_asked_for_again(visit: Visit, site: Platform) -> None:
    """The stream lives, but a request does not get through: the page must not stay as it was."""
    run = site.run_script(WAIT + "print('begun', flush=True)\nwait('end')\n", "Missed news")["id"]
    visitor = visit()
    visitor.forgive(r"net::ERR_", "Failed to fetch")
    page = visitor.page
    visitor.go(f"/history/{run}")
    expect(page.locator("ps-log")).to_contain_text("begun")
    page.route(f"**/history/{run}*", lambda route: route.abort())
    with page.expect_event("requestfailed"):
        let_on(site, run, "end")
    site.finished({"id": run})
    page.unroute(f"**/history/{run}*")
    expect(page.locator("#run-heading")).to_contain_text("Success")


def test_two_tabs_and_another_browser_show_the_same(visit: Visit, site: Platform) -> None:
    run = site.run_script(TALKER, "Watched by three")["id"]
    visitor, other = visit(), visit()
    pages = [visitor.page, visitor.tab(), other.page]
    for page in pages:
        page.goto(f"/history/{run}")
        visitor.ready(page)
        shows_line(page, 99)
    let_on(site, run, "second")
    let_on(site, run, "third")
    for page in pages:
        expect(page.locator("#run-heading")).to_contain_text("Success")
        visitor.shows_log(LINES, page)


def test_seven_tabs_at_once_all_load_and_all_come_to_know(visit: Visit, site: Platform) -> None:
    """A browser opens six connections to a host: streams of tabs that were left give way."""
    run = site.run_script(TALKER, "Watched by seven")["id"]
    visitor = visit()
    pages = [visitor.page, *(visitor.tab() for _ in range(6))]
    for page in pages:
        page.goto(f"/history/{run}")
        page.locator("html[data-ready]").wait_for(state="attached")
    shows_line(pages[-1], 99)
    let_on(site, run, "second")
    let_on(site, run, "third")
    for page in pages:
        page.bring_to_front()
        page.locator("h1").click()
        expect(page.locator("#run-heading")).to_contain_text("Success")
        visitor.shows_log(LINES, page)


def test_a_tab_in_the_background_gives_its_connection_away_and_catches_up(visit: Visit, site: Platform) -> None:
    run = site.run_script(TALKER, "In the background")["id"]
    visitor = visit()
    page = visitor.page
    visitor.go(f"/history/{run}")
    shows_line(page, 99)
    hide(page, True)
    expect(page.locator("body")).to_have_attribute("data-live-state", "hidden")
    let_on(site, run, "second")
    let_on(site, run, "third")
    site.finished({"id": run})
    assert "line 100\n" not in visitor.log()
    hide(page, False)
    expect(page.locator("#run-heading")).to_contain_text("Success")
    visitor.shows_log(LINES)


def hide(page: Page, hidden: bool) -> None:
    """Headless tabs are never in the background: say so in the browser's place."""
    page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def test_a_million_lines_leave_the_page_quick(visit: Visit, site: Platform) -> None:
    source = "import sys\nfor n in range(0, 1_000_000, 1000):\n    sys.stdout.write(''.join(f'line {i}\\n' for i in range(n, n + 1000)))\n"
    run = site.run_script(source, "Flood")["id"]
    visitor = visit()
    page = visitor.page
    visitor.go(f"/history/{run}")
    expect(page.locator("#run-heading")).to_contain_text("Success", timeout=60_000)
    shows_line(page, 999_999)
    assert page.locator("ps-log .log-line").count() <= 5200
    expect(page.locator(".log-note").first).to_contain_text("download the whole log")
    # The page still answers: a search in what is shown.
    page.get_by_label("Find in the lines that are shown").fill("line 999998")
    expect(page.locator(".log-count")).to_have_text("1 of 1")


# Answers reach the page when the gate is opened.
HOLD = """() => {
  const ask = fetch;
  const gate = new Promise((open) => { window.open_gate = open; });
  window.fetch = async (...all) => { const answer = await ask(...all); await gate; return answer; };
}"""
LISTS = ["/", "/threads/", "/threads/1", "/processes/", "/processes/1", "/schedules/", "/schedules/1", "/history/"]


@pytest.mark.parametrize("address", LISTS)
def test_what_is_told_while_an_answer_is_on_its_way_is_asked_for_again(visit: Visit, address: str) -> None:
    """The answer may have been made before the change it was not asked for."""
    visitor = visit()
    page = visitor.page
    visitor.go(address)
    page.evaluate(HOLD)
    visitor.asked()
    tell = "() => document.body.dispatchEvent(new CustomEvent('ps:run', { bubbles: true, detail: { id: 1, status: 'running' } }))"
    with page.expect_request(lambda request: "hx-request" in request.headers):
        page.evaluate(tell)
    with page.expect_request(lambda request: "hx-request" in request.headers):
        page.evaluate(tell)
        page.evaluate("window.open_gate()")
    assert len(visitor.asked()) == 2


def test_what_is_typed_while_a_preview_is_on_its_way_is_previewed(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    visitor.go("/schedules/new")
    expect(page.locator(".preview-words")).to_have_text("At 07:00 every day (Europe/Berlin)")
    page.evaluate(HOLD)
    with page.expect_request("**/schedules/preview"):
        page.get_by_label("Cron expression").fill("0 8 * * *")
    page.get_by_label("Cron expression").fill("0 9 * * *")
    page.evaluate("window.open_gate()")
    expect(page.locator(".preview-words")).to_have_text("At 09:00 every day (Europe/Berlin)")


def test_a_list_shows_the_end_of_a_run_that_is_over_at_once(visit: Visit, site: Platform) -> None:
    thread = site.post("threads", {"name": "Over at once", "source": "print(1)\n"})["id"]
    visitor, pages = visit(), ("/history/?q=over", f"/threads/{thread}", "/")
    tabs = [visitor.page, visitor.tab(), visitor.tab()]
    for tab, address in zip(tabs, pages, strict=True):
        tab.goto(address)
        visitor.ready(tab)
    last = [site.post(f"threads/{thread}/run")["number"] for _ in range(5)][-1]
    for tab in tabs:
        expect(tab.locator(".row", has_text=f"#{last}").locator(".badge")).to_have_text("Success")
        expect(tab.locator(".badge", has_text="Running")).to_have_count(0)


def test_progress_and_end_are_told_to_screen_readers_and_elsewhere(visit: Visit, site: Platform) -> None:
    run: Any = site.run_script(WAIT + "wait('end')\n", "Noticed")
    visitor = visit()
    page = visitor.page
    visitor.go(f"/history/{run['id']}")
    expect(page.locator("#run-heading")).to_contain_text("Running")
    visitor.go("/threads/")
    let_on(site, run["id"], "end")
    words = f"Noticed #{run['number']} succeeded."
    visitor.toast(words)
    page.locator("#toasts").get_by_role("link", name=words).click()
    page.wait_for_url(f"**/history/{run['id']}")


def test_open_pages_are_told_of_maintenance_and_of_its_end(visit: Visit, site: Platform) -> None:
    visitor = visit()
    visitor.go("/threads/")
    banner = visitor.page.locator("#maintenance-banner .banner")
    expect(banner).to_have_count(0)
    site.manage("drain", "--reason", "New disks")
    try:
        expect(banner).to_contain_text("New disks")
        visitor.go("/health/")
        visitor.page.get_by_role("button", name="End maintenance").click()
        expect(banner).to_have_count(0)
    finally:
        site.manage("drain", "--end")
