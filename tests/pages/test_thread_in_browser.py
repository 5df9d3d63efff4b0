"""The page of a thread in a real browser, on a real server: what is typed, kept, saved and run."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests import browser
from tests.installation import Installation
from tests.pages.installed import MARKS, SCRIPT, api, log_in, new_thread

pytestmark = MARKS

LAYERS = "['.editor-paint', '#source'].map(name => document.querySelector(name))"


@pytest.mark.parametrize("height", [713, 768, 811])
def test_the_editor_shows_whole_lines_and_no_bar_hides_any(place: Installation, page: Any, height: int) -> None:
    page.set_viewport_size({"width": 1280, "height": height})
    page.goto(f"/threads/{new_thread(place, f'Long {height}', SCRIPT * 120)}")
    for bar in (0, 15):
        # A border takes room as a scroll bar does; a browser without a screen shows none.
        page.eval_on_selector("#source", f"area => {{ area.style.borderBottom = '{bar}px solid'; }}")
        expect(page.locator(".editor-paint")).to_have_css("margin-bottom", f"{bar}px")
        heights = page.evaluate(f"{LAYERS}.map(layer => layer.clientHeight)")
        assert (heights[0], heights[0] % 20) == (heights[1], 10)
        page.eval_on_selector("#source", "area => { area.scrollTop = area.scrollHeight; }")
        end = page.evaluate(f"{LAYERS}[1].scrollTop")
        assert end > 0
        expect(page.locator(".editor-paint")).to_have_js_property("scrollTop", end)


def test_a_new_thread_is_written_kept_and_saved_by_keyboard(page: Any) -> None:
    page.goto("/threads/")
    page.click("[data-dialog=new-thread]")
    page.fill("#id_new-name", "Hello World")
    assert page.locator("#new-thread .safe-name code").inner_text() == "hello-world"
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/threads/\d+$"))
    area = page.locator("#source")
    area.fill("")
    area.press_sequentially("def f():")
    for key in ("Enter", "p", "a", "s", "s", "Enter", "Tab", "x"):
        area.press(key)
    assert area.input_value() == "def f():\n    pass\n        x"
    area.press("Shift+Tab")
    assert area.input_value() == "def f():\n    pass\n    x"
    page.get_by_text("Draft saved").wait_for()
    page.reload()
    assert page.locator("#source").input_value() == "def f():\n    pass\n    x"
    page.locator("#source").press("Control+s")
    page.locator("#version-tag", has_text="v1").wait_for()
    page.locator("#thread-versions", has_text="v1").wait_for()


def test_what_does_not_compile_is_marked_on_its_line_and_not_saved(place: Installation, page: Any) -> None:
    page.goto(f"/threads/{new_thread(place, 'Faulty')}")
    page.fill("#source", "a = 1\nb = (\nc = 3\n")
    page.locator(".editor-gutter .is-faulty", has_text="2").wait_for()
    assert "Line 2, column 5 does not compile" in page.locator("#editor-fault").inner_text()
    page.click("#save-button")
    page.get_by_text("not saved as a version").wait_for()
    assert page.evaluate("document.activeElement.id") == "source"
    page.fill("#source", "a = 1\n")
    expect(page.locator(".is-faulty")).to_have_count(0)
    expect(page.locator("#editor-fault")).to_be_empty()
    page.fill("#save-message", "Better")
    page.locator("#save-message").press("Enter")
    page.locator("#thread-versions", has_text="Better").wait_for()
    assert page.locator("#version-tag").inner_text() == "v2"


def test_the_tab_key_leaves_the_editor_after_escape(place: Installation, page: Any) -> None:
    page.goto(f"/threads/{new_thread(place, 'Keyboard')}")
    page.focus("#source")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") != "source"


def test_of_two_tabs_the_second_is_told_and_nothing_is_overwritten(place: Installation, page: Any) -> None:
    number = new_thread(place, "Two tabs")
    page.goto(f"/threads/{number}")
    other = page.context.new_page()
    other.goto(f"/threads/{number}")
    page.fill("#source", "first = 1\n")
    page.get_by_text("Draft saved").wait_for()
    other.fill("#source", "second = 2\n")
    other.locator("#editor-conflict").wait_for(state="visible")
    assert other.locator("#source").input_value() == "second = 2\n"
    page.reload()
    assert page.locator("#source").input_value() == "first = 1\n"
    other.click("[data-conflict=mine]")
    other.get_by_text("Draft saved").wait_for()
    page.fill("#source", "third = 3\n")
    page.locator("#editor-conflict").wait_for(state="visible")
    page.click("[data-conflict=reload]")
    expect(page.locator("#source")).to_have_value("second = 2\n")
    assert other.locator("#editor-conflict").is_hidden()


def test_who_was_logged_out_while_typing_loses_nothing(place: Installation, page: Any) -> None:
    page.goto(f"/threads/{new_thread(place, 'Logged out')}")
    page.context.clear_cookies()
    page.fill("#source", "precious = 1\n")
    page.get_by_text("you are logged out").wait_for()
    log_in(place, page)
    page.get_by_text("Draft saved").wait_for()
    page.reload()
    assert page.locator("#source").input_value() == "precious = 1\n"


def test_a_long_script_scrolls_with_its_line_numbers(place: Installation, page: Any) -> None:
    page.goto(f"/threads/{new_thread(place, 'Long', ''.join(f'line_{n} = {n}' + chr(10) for n in range(400)))}")
    page.focus("#source")
    page.keyboard.press("Control+End")
    page.wait_for_timeout(300)
    shown = page.evaluate("[...document.querySelectorAll('#source, .editor-gutter, .editor-paint')].map(part => part.scrollTop)")
    assert min(shown) == max(shown) > 5000
    card = page.locator(".editor-card").bounding_box()
    assert page.locator("ps-editor").bounding_box()["height"] < 800
    assert page.locator("#source").bounding_box()["height"] < card["height"]


def test_a_link_to_a_line_of_a_version_shows_and_marks_it(place: Installation, page: Any) -> None:
    pk = new_thread(place, "Marked", "".join(f"line_{number} = 0\n" for number in range(1, 201)))
    page.goto(f"/threads/{pk}/versions/1#L150")
    marked = page.locator(".editor-gutter .is-faulty")
    expect(marked).to_have_text("150")
    expect(marked).to_be_in_viewport()
    assert page.locator("ps-editor textarea").evaluate("area => area.scrollTop") > 0
    page.evaluate("location.hash = '#L3'")
    expect(marked).to_have_text("3")
    page.evaluate("location.hash = '#L999'")
    expect(marked).to_have_text("3")


@pytest.mark.parametrize("role", ["viewer", "runner"])
def test_who_may_only_read_has_a_page_without_a_fault(place: Installation, role: str) -> None:
    thread = new_thread(place, f"Read by {role}")
    with browser.opened(base_url=f"http://127.0.0.1:{place.port}") as page:
        log_in(place, page, role)
        faults = browser.faults_of(page)
        page.goto(f"/threads/{thread}")
        page.wait_for_selector("html[data-ready]")
        expect(page.locator(".editor-paint .tok-string")).to_have_text("'hello'")
        expect(page.locator(".editor-gutter span")).to_have_count(2)
    assert faults == []


def test_the_run_dialog_tells_of_unsaved_changes_and_can_save_them_first(place: Installation, page: Any) -> None:
    thread = new_thread(place, "Half saved")
    page.goto(f"/threads/{thread}")
    dialog, save, run = page.locator("#run-thread"), page.locator("#save-button"), page.locator("#run-button")
    expect(run).to_contain_class("primary")
    expect(save).not_to_contain_class("primary")
    run.click()
    expect(dialog).to_contain_text("Version 1 runs.")
    expect(dialog).not_to_contain_text("unsaved changes", use_inner_text=True)
    dialog.get_by_label("Close").click()
    page.fill("#source", "print('changed'\n")
    expect(save).to_contain_class("primary")
    expect(run).not_to_contain_class("primary")
    run.click()
    expect(dialog).to_contain_text("Your unsaved changes are not in it.", use_inner_text=True)
    dialog.get_by_role("button", name="Save and run").click()
    page.get_by_text("not saved as a version").wait_for()
    expect(dialog).to_be_hidden()
    page.fill("#source", "print('changed')\n")
    run.click()
    dialog.get_by_role("button", name="Save and run").click()
    page.wait_for_url(re.compile(r"/history/\d+$"))
    started = api(place, "GET", f"runs/{page.url.rpartition('/')[2]}")
    assert [step["version"] for step in started["steps"]] == [2]


def test_typing_back_what_is_saved_is_no_change(place: Installation, page: Any) -> None:
    page.goto(f"/threads/{new_thread(place, 'There and back')}")
    page.locator("#source").press("Control+End")
    page.keyboard.type("x")
    expect(page.locator("#save-button")).to_contain_class("primary")
    page.keyboard.press("Backspace")
    expect(page.locator("#save-button")).not_to_contain_class("primary")


def test_an_error_takes_the_place_of_good_news(place: Installation, page: Any) -> None:
    page.goto(f"/threads/{new_thread(place, 'Good and bad')}")
    settings = page.locator("#thread-settings")
    settings.locator("summary").first.click()
    settings.get_by_role("button", name="Save settings").click()
    page.get_by_text("The settings are saved.").wait_for()
    settings.locator("summary").first.click()
    settings.get_by_label("Timeout in seconds").fill("0")
    settings.get_by_role("button", name="Save settings").click()
    settings.locator(".errors").first.wait_for()
    expect(page.locator(".toast.good")).to_have_count(0)
