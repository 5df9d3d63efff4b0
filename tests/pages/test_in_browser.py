"""The pages in a real browser, on a real server: what is typed, dropped, dragged, and done by keyboard alone."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests import browser
from tests.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.skipif(browser.CHROMIUM is None, reason="There is no Chromium here.")]
SCRIPT = "print('hello')\n"


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    made = Installation()
    yield made
    made.close()


@pytest.fixture
def page(place: Installation) -> Iterator[Any]:
    """An editor's page; it must end without a complaint in its console."""
    with browser.opened(
        viewport={"width": 1280, "height": 900}, timezone_id="Asia/Tokyo", base_url=f"http://127.0.0.1:{place.port}"
    ) as page:
        log_in(place, page)
        faults = browser.faults_of(page)
        yield page
        refused = "the server responded with a status of"
        assert [fault for fault in faults if refused not in fault] == []


def log_in(place: Installation, page: Any, role: str = "editor") -> None:
    cookie = {"name": "sessionid", "value": place.people[role]["session"], "url": f"http://127.0.0.1:{place.port}"}
    page.context.add_cookies([cookie])


def api(place: Installation, method: str, path: str, **body: Any) -> Any:
    headers = place.key("editor") | {"Content-Type": "application/json"}
    status, _, answer = place.request(method, f"/api/v1/{path}", json.dumps(body) if body else None, headers)
    assert status < 400, answer
    return json.loads(answer)


def new_thread(place: Installation, name: str, source: str = SCRIPT) -> int:
    return int(api(place, "POST", "threads", name=name, source=source)["id"])


def drop(page: Any, selector: str, files: dict[str, str]) -> None:
    """Drop files as a desktop does: an event that carries them."""
    carrier = page.evaluate_handle(
        "files => { const carrier = new DataTransfer();"
        " for (const [name, text] of Object.entries(files)) carrier.items.add(new File([text], name)); return carrier; }",
        files,
    )
    for kind in ("dragenter", "dragover", "drop"):
        page.dispatch_event(selector, kind, {"dataTransfer": carrier})


def chosen(page: Any, selector: str) -> list[str]:
    names: list[str] = page.eval_on_selector(selector, "input => [...input.files].map(file => file.name)")
    return names


# The editor

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


# Uploading


def test_dropped_files_find_their_fields_and_survive_a_refusal(place: Installation, page: Any) -> None:
    page.goto("/threads/")
    drop(page, "main", {"fetch_pages.py": "print(1)\n", "pages.csv": "a,b\n1\n", "helper.py": "x = 1\n", "notes.txt": "n"})
    page.locator("#upload-thread").wait_for(state="visible")
    assert chosen(page, "#id_upload-script") == ["fetch_pages.py"]
    assert chosen(page, "#id_upload-input_file") == ["pages.csv"]
    assert chosen(page, "#id_upload-files") == ["helper.py", "notes.txt"]
    assert page.locator("#upload-thread .safe-name code").inner_text() == "fetch-pages"
    page.fill("#id_upload-name", "Kept name")
    page.click("#upload-thread .button.primary")
    page.get_by_text("Line 2 of the CSV has 1 columns").wait_for()
    assert page.locator("#id_upload-name").input_value() == "Kept name"
    assert chosen(page, "#id_upload-script") == ["fetch_pages.py"]
    assert chosen(page, "#id_upload-files") == ["helper.py", "notes.txt"]
    page.set_input_files("#id_upload-input_file", {"name": "pages.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"})
    page.click("#upload-thread .button.primary")
    page.wait_for_url(re.compile(r"/threads/\d+$"))
    listed = " ".join(page.locator("#thread-files li a").all_inner_texts())
    assert listed == "fetch_pages.py helper.py notes.txt pages.csv"


def test_the_list_narrows_as_one_types(place: Installation, page: Any) -> None:
    new_thread(place, "Findable thing")
    new_thread(place, "Other matter")
    page.goto("/threads/")
    page.locator("input[type=search]").press_sequentially("findable")
    page.get_by_text("Other matter").wait_for(state="detached")
    assert page.get_by_text("Findable thing").is_visible()
    assert "q=findable" in page.url


# The builder


def names(page: Any) -> list[str]:
    shown: list[str] = page.locator("#steps .step-name a").all_inner_texts()
    return shown


def numbers(page: Any) -> list[str]:
    shown: list[str] = page.eval_on_selector_all("#steps .step-number", "all => all.map(number => number.dataset.number)")
    return shown


def drag(page: Any, moved: int, to: int) -> None:
    """With the mouse, by the grip; the others make room with a short animation."""
    page.locator(".step-grip").nth(moved).hover()
    page.mouse.down()
    goal = page.locator(".step").nth(to).bounding_box()
    for share in (0.9, 0.5, 0.1):
        page.mouse.move(goal["x"] + 20, goal["y"] + goal["height"] * share, steps=6)
        page.wait_for_timeout(180)
    page.mouse.up()


def test_the_button_that_adds_a_thread_is_called_what_it_shows(place: Installation, page: Any) -> None:
    """Who speaks to the machine says what can be read on the button."""
    new_thread(place, "Spoken")
    page.goto("/processes/new")
    page.fill(".library-search input", "spoken")
    expect(page.locator(".library-item")).to_have_count(1)
    expect(page.locator(".library-item")).to_have_accessible_name("Add Spoken spoken")


def test_a_process_is_built_by_click_drag_and_keyboard(place: Installation, page: Any) -> None:
    for name in ("Alpha", "Beta", "Gamma"):
        new_thread(place, name)
    page.goto("/processes/new")
    page.fill("#id_name", "Built by hand")
    for count, name in enumerate(("Alpha", "Beta", "Gamma", "Alpha"), start=1):
        page.get_by_role("button", name=f"Add {name}").click()
        expect(page.locator("#steps .step[data-position]")).to_have_count(count)
    assert (names(page), numbers(page)) == (["Alpha", "Beta", "Gamma", "Alpha"], ["1", "2", "3", "4"])

    drag(page, 2, 0)
    assert names(page) == ["Gamma", "Alpha", "Beta", "Alpha"]

    # The keyboard: the last one up, and beside the one above it.
    last = page.locator(".step").nth(3)
    last.locator("summary").focus()
    page.keyboard.press("Alt+ArrowUp")
    assert names(page) == ["Gamma", "Alpha", "Alpha", "Beta"]
    expect(page.locator("#announcer")).to_have_text("Alpha is now step 3 of 4.")
    page.locator(".step").nth(2).locator("[data-beside]").focus()
    page.keyboard.press("Enter")
    assert numbers(page) == ["1", "2a", "2b", "3"]
    first, second = (page.locator(".step").nth(at).bounding_box() for at in (1, 2))
    assert first["y"] == second["y"]
    assert first["x"] + first["width"] < second["x"]
    page.locator(".step").nth(3).locator("summary").click()
    page.locator(".step").nth(3).locator("select").select_option("continue")
    page.locator(".step").nth(3).locator(".pair input").nth(0).fill("limit")
    page.locator(".step").nth(3).locator(".pair input").nth(1).fill("10")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile(r"/processes/\d+$"))
    saved = api(place, "GET", page.url.rsplit("/processes/", 1)[1].join(("processes/", "")))
    assert [step["stage"] for step in saved["steps"]] == [1, 2, 2, 3]
    assert (saved["steps"][3]["on_failure"], saved["steps"][3]["parameters"]) == ("continue", {"limit": 10})


def test_a_step_moves_through_a_stage_and_removing_keeps_the_rest_beside_each_other(place: Installation, page: Any) -> None:
    ids = [new_thread(place, name) for name in ("One", "Two", "Three")]
    stages = [{"thread": number, "stage": stage} for number, stage in zip(ids, (1, 1, 2), strict=True)]
    made = api(place, "POST", "processes", name="Moving", steps=stages)
    page.goto(f"/processes/{made['id']}")
    assert numbers(page) == ["1a", "1b", "2"]
    page.locator(".step").nth(2).get_by_label("Move up").click()
    assert (names(page), numbers(page)) == (["One", "Three", "Two"], ["1a", "1b", "1c"])
    page.locator(".step").nth(1).get_by_label("Move up").click()
    assert (names(page), numbers(page)) == (["Three", "One", "Two"], ["1a", "1b", "1c"])
    page.locator(".step").nth(0).get_by_label("Remove Three").click()
    assert (names(page), numbers(page)) == (["One", "Two"], ["1a", "1b"])
    page.locator(".step").nth(1).locator("[data-beside]").click()
    assert numbers(page) == ["1", "2"]


# Schedules


def test_the_preview_follows_the_form_and_begins_in_the_browsers_zone(place: Installation, page: Any) -> None:
    new_thread(place, "Scheduled one")
    page.goto("/schedules/new")
    page.get_by_text("At 07:00 every day (Asia/Tokyo)").wait_for()
    page.fill("#id_cron", "61 * * * *")
    page.locator("#preview .preview-fault").wait_for()
    page.click("[data-cron='0 8-23 * * 1-5']")
    page.get_by_text("Monday through Friday").wait_for()
    page.click("label.choice-card:has-text('Interval')")
    page.fill("#id_interval", "15")
    page.select_option("#id_unit", "minutes")
    expect(page.locator(".preview-words")).to_have_text("Every 15 minutes")
    assert page.locator("#id_cron").is_hidden()
    page.click("label.choice-card:has-text('Once')")
    page.get_by_text("Once, on").wait_for()
    page.select_option("#id_target", label="Scheduled one")
    page.click("text=Create schedule")
    page.wait_for_url("**/schedules/")
    row = page.locator(".schedule-row", has_text="Scheduled one")
    assert "in 59 min" in row.inner_text() or "in 58 min" in row.inner_text()
    row.locator("input[role=switch]").click()
    row.get_by_text("Disabled").wait_for()
    row.get_by_label("Run Scheduled one now").click()
    row.get_by_text("Queued").wait_for()


# Everywhere


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen_or_refused_by_the_policy(place: Installation, width: int, scheme: str) -> None:
    thread = new_thread(place, f"A name so long that it has to be cut somewhere {width} {scheme}", "x = 1  # " + "long " * 60 + "\n")
    process = api(place, "POST", "processes", name="P" * 90, steps=[{"thread": thread, "stage": 1}, {"thread": thread, "stage": 1}])["id"]
    target = {"target_type": "process", "target": process}
    schedule = api(place, "POST", "schedules", name="S" * 90, kind="cron", cron="0 7 * * *", **target)["id"]
    addresses = [
        *(f"/threads/{part}" for part in ("", thread, f"{thread}/versions/1", f"{thread}/delete")),
        *(f"/processes/{part}" for part in ("", "new", process, f"{process}/delete")),
        *(f"/schedules/{part}" for part in ("", "new", schedule, f"{schedule}/edit", f"{schedule}/delete")),
    ]
    options = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme, "base_url": f"http://127.0.0.1:{place.port}"}
    with browser.opened(**options) as page:
        log_in(place, page)
        faults = browser.faults_of(page)
        for address in addresses:
            page.goto(address)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
    assert faults == []


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


def test_lists_and_pages_follow_a_run_without_a_reload(place: Installation, page: Any) -> None:
    thread = new_thread(place, "Watched")
    process = api(place, "POST", "processes", name="Watched process", steps=[{"thread": thread, "stage": 1}])["id"]
    schedule = {"name": "Watched schedule", "kind": "manual", "target_type": "process", "target": process}
    schedule_id = api(place, "POST", "schedules", **schedule)["id"]
    watched = {
        "/threads/": ("#results .row:has-text('Watched')", f"threads/{thread}/run"),
        f"/threads/{thread}": ("#thread-runs", f"threads/{thread}/run"),
        "/processes/": ("#results .row:has-text('Watched process')", f"processes/{process}/run"),
        f"/processes/{process}": ("#process-runs", f"processes/{process}/run"),
        "/schedules/": (f"#schedule-{schedule_id}", f"schedules/{schedule_id}/run"),
        f"/schedules/{schedule_id}": ("#record", f"schedules/{schedule_id}/run"),
    }
    for address, (region, start) in watched.items():
        page.goto(address)
        expect(page.locator("body")).to_have_attribute("data-live-topics", re.compile("run"))
        page.wait_for_timeout(500)
        run = api(place, "POST", start)
        expect(page.locator(region)).to_contain_text("Queued")
        place.tell("start_run", run_id=run["id"])
        expect(page.locator(region)).to_contain_text("Running")
        place.tell("end_run", run_id=run["id"], status="failed")
        expect(page.locator(region)).to_contain_text("Failed")


# Viewers and runners; the run dialog; what the coloured button is


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


def test_a_process_says_that_its_changes_are_not_saved(place: Installation, page: Any) -> None:
    thread = new_thread(place, "Only step")
    process = api(place, "POST", "processes", name="Unsaved", steps=[{"thread": thread, "stage": 1}])["id"]
    page.goto(f"/processes/{process}")
    expect(page.locator("#run-button")).to_contain_class("primary")
    page.fill("[name=description]", "Other")
    expect(page.locator("#save-button")).to_contain_class("primary")
    page.click("#run-button")
    expect(page.locator("#run-process")).to_contain_text("Your unsaved changes are not in it.", use_inner_text=True)
    page.keyboard.press("Escape")
    page.click("#save-button")
    page.get_by_text("Unsaved is saved.").wait_for()
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


def test_without_folders_the_rows_of_a_viewer_are_as_wide_as_the_page(place: Installation) -> None:
    with browser.opened(viewport={"width": 1280, "height": 800}, base_url=f"http://127.0.0.1:{place.port}") as page:
        log_in(place, page, "viewer")
        page.goto("/threads/")
        rows, whole = page.evaluate("['#results', '.page'].map(name => document.querySelector(name).clientWidth)")
    assert rows == whole
