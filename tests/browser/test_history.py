"""The record of many runs: narrowed, paged, and still alive on the way back."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.visitor import Visitor
from tests.platform import Platform

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]


def test_the_history_is_filtered_and_paged(visit: Visit, site: Platform) -> None:
    good = site.post("threads", {"name": "Many", "source": "print(1)\n"})["id"]
    bad = site.run_script("raise SystemExit(3)\n", "Fails always")
    runs = [site.post(f"threads/{good}/run") for _ in range(55)]
    for run in (bad, *runs):
        site.finished(run)
    numbers = [f"#{run['number']}" for run in reversed(runs)]
    visitor = visit()
    page = visitor.page
    rows = page.locator(".run-row")
    visitor.go("/history/")
    page.evaluate("window.same = true")
    page.get_by_label("Kind").select_option(label="Processes")
    expect(page.locator(".run-row", has_text="Fails always")).to_have_count(0)
    page.get_by_label("Kind").select_option(label="All kinds")
    expect(rows.first).to_contain_text(numbers[0])
    page.get_by_label("Search by name or number").fill("fails al")
    expect(rows).to_have_count(1)
    page.locator(".chips").get_by_text("Success").click()
    expect(page.get_by_role("heading", name="No matches")).to_be_visible()
    page.locator(".chips").get_by_text("Success").click()
    page.locator(".chips").get_by_text("Failed").click()
    expect(page).to_have_url(re.compile(r"/history/\?q=fails\+al&status=failed$"))
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Exit code 3.")
    page.locator(".chips").get_by_text("Failed").click()
    expect(page).to_have_url(re.compile(r"/history/\?q=fails\+al$"))
    page.get_by_label("Search by name or number").fill("many")
    expect(rows.first).to_contain_text(numbers[0])
    assert turned_pages(page, rows) == numbers
    assert page.evaluate("window.same")


def test_the_way_back_leads_to_a_list_that_goes_on(visit: Visit, site: Platform) -> None:
    thread = site.post("threads", {"name": "Often", "source": "print(1)\n"})["id"]
    numbers = [f"#{site.post(f'threads/{thread}/run')['number']}" for _ in range(52)]
    visitor = visit()
    page, rows = visitor.page, visitor.page.locator(".run-row")
    visitor.go(f"/history/?thread={thread}")
    expect(rows.first).to_contain_text(numbers[-1])
    turn(page, "Older", rows.locator(".num.faint"))
    page.go_back()
    expect(rows.first).to_contain_text(numbers[-1])
    new = site.post(f"threads/{thread}/run")
    expect(rows.first).to_contain_text(f"#{new['number']}")
    expect(rows.first).to_contain_text("Success")


def turned_pages(page: Page, rows: Locator) -> list[str]:
    """The numbers met on the way to the last page; on the way back the first one is found as it was."""
    shown = rows.locator(".num.faint")
    first = met = shown.all_inner_texts()
    while page.get_by_role("link", name="Older").count():
        turn(page, "Older", shown)
        met = met + shown.all_inner_texts()
    while page.get_by_role("link", name="Newer").count():
        turn(page, "Newer", shown)
    assert shown.all_inner_texts() == first
    return met


def turn(page: Page, way: str, shown: Locator) -> None:
    before = shown.first.inner_text()
    page.get_by_role("link", name=way).click()
    expect(shown.first).not_to_have_text(before)
