"""Lists, uploads, the builder and schedules in a real browser, on a real server: dropped, dragged, and by keyboard alone."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests import browser
from tests.installation import Installation
from tests.pages.installed import MARKS, api, log_in, new_thread

pytestmark = MARKS


# Uploading


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


def test_without_folders_the_rows_of_a_viewer_are_as_wide_as_the_page(place: Installation) -> None:
    with browser.opened(viewport={"width": 1280, "height": 800}, base_url=f"http://127.0.0.1:{place.port}") as page:
        log_in(place, page, "viewer")
        page.goto("/threads/")
        rows, whole = page.evaluate("['#results', '.page'].map(name => document.querySelector(name).clientWidth)")
    assert rows == whole
