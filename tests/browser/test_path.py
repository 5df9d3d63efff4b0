"""The main job by hand: a script becomes a scheduled, watched, recorded run; and what goes wrong on the way."""

import io
import re
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gate import WAIT, directory_of, let_on
from tests.browser.hands import downloaded, file, number_in, steps_of
from tests.browser.visitor import PHONE, Visitor
from tests.platform import Platform

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]

# Reads its CSV, tells how far it is, and writes a table that the next step reads.
READER = (
    WAIT
    + """import csv, threadkit
with open(os.environ["PYSCHED_INPUT"]) as file:
    rows = list(csv.DictReader(file))
for number, row in enumerate(rows, start=1):
    print(f"city {row['name']}", flush=True)
    threadkit.progress(number, len(rows), f"city {number} of {len(rows)}")
    wait(f"after-{number}")
with open("cities.txt", "w") as file:
    file.write("".join(row["name"] + chr(10) for row in rows))
os.makedirs("deep", exist_ok=True)
with open("deep/raw.bin", "wb") as file:
    file.write(bytes(range(256)))
"""
)
CITIES = "name,mm\nOslo,12\nCairo,0\nLisbon,3\nTórshavn,18\n"
WRITER = 'print("cities:", len(open("cities.txt").read().split()))\n'
LOG = "--- Step 1: read cities, version 1 ---\ncity Oslo\ncity Cairo\ncity Lisbon\ncity Tórshavn\n"


def test_a_script_becomes_a_scheduled_watched_recorded_run(visit: Visit, site: Platform) -> None:
    visitor = visit(storage_state=None)
    visitor.log_in()
    write_a_thread_in_the_editor(visitor)
    upload_a_script_with_its_table(visitor, READER)
    build_the_process(visitor)
    schedule_it_in_a_few_seconds(visitor)
    run = watch_it(visitor, site)
    take_what_it_left(visitor, site, run)
    log_out(visitor)


def write_a_thread_in_the_editor(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/threads/")
    visitor.press("New folder")
    page.locator("#new-folder").get_by_label("Name").fill("Reports")
    visitor.press("Create", page.locator("#new-folder"))
    page.wait_for_url(re.compile(r"folder=\d+$"))
    visitor.press("New thread")
    dialog = page.locator("#new-thread")
    dialog.get_by_label("Name").fill("Count cities #1")
    expect(dialog.locator(".safe-name code")).to_have_text("count-cities-1")
    dialog.get_by_label("Folder").select_option(label="Reports")
    visitor.press("Create and edit", dialog)
    page.wait_for_url(re.compile(r"/threads/\d+$"))
    editor = page.get_by_label("Python source")
    editor.fill(WRITER.replace(")\n", "\n"))
    expect(page.locator("#editor-fault")).to_contain_text("does not compile")
    editor.fill(WRITER)
    expect(page.locator("#editor-state")).to_have_text("Draft saved")
    page.keyboard.press("Control+s")
    expect(page.locator("#version-tag")).to_have_text("v1")
    expect(page.locator(".crumbs")).to_contain_text("Reports")
    page.reload()
    expect(page.get_by_label("Python source")).to_have_value(WRITER)
    expect(page.locator("#editor-state")).to_have_text("Saved")


def upload_a_script_with_its_table(visitor: Visitor, source: str) -> None:
    page = visitor.page
    visitor.go("/threads/")
    visitor.press("Upload")
    dialog = page.locator("#upload-thread")
    dialog.get_by_label("Script (.py)").set_input_files(file("read_cities.py", source))
    dialog.get_by_label("Input CSV").set_input_files(file("cities.csv", CITIES))
    expect(dialog.locator(".safe-name code")).to_have_text("read-cities")
    visitor.press("Upload", dialog)
    page.wait_for_url(re.compile(r"/threads/\d+$"))
    expect(page.get_by_role("heading", name="read cities")).to_be_visible()
    expect(page.locator("#thread-files li")).to_contain_text(["read_cities.py", "cities.csv"])


def build_the_process(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/processes/new")
    page.get_by_label("Name", exact=True).fill("Cities, counted")
    for text, name in (("count", "Count cities #1"), ("read-ci", "read cities"), ("count", "Count cities #1")):
        page.get_by_label("Search threads to add").fill(text)
        expect(page.locator("#library .library-item")).to_have_count(1)
        page.get_by_role("button", name=f"Add {name}").click()
        expect(page.locator("#announcer")).to_contain_text(f"{name} is added as step")
    assert steps_of(page) == ["1 Count cities #1", "2 read cities", "3 Count cities #1"]
    order_by_keyboard(visitor)
    order_by_dragging(page)
    page.locator(".step").nth(2).get_by_label("Run beside the step above").click()
    assert steps_of(page) == ["1 read cities", "2a Count cities #1", "2b Count cities #1"]
    visitor.press("Save")
    page.wait_for_url(re.compile(r"/processes/\d+$"))
    visitor.toast("Cities, counted is saved.")
    assert steps_of(page) == ["1 read cities", "2a Count cities #1", "2b Count cities #1"]


def order_by_keyboard(visitor: Visitor) -> None:
    page = visitor.page
    page.locator(".step").nth(1).locator("summary").focus()
    page.keyboard.press("Alt+ArrowDown")
    expect(page.locator("#announcer")).to_have_text("read cities is now step 3 of 3.")
    page.keyboard.press("Alt+ArrowDown")
    expect(page.locator("#announcer")).to_have_text("read cities is the last step.")
    assert steps_of(page) == ["1 Count cities #1", "2 Count cities #1", "3 read cities"]


def order_by_dragging(page: Page) -> None:
    """The last step to the top, with the mouse by its grip; the others make room with an animation, so the hand goes on moving."""
    first = page.locator(".step").nth(0)
    page.locator(".step-grip").nth(2).hover()
    page.mouse.down()
    for number in range(60):
        goal = first.bounding_box()
        assert goal
        page.mouse.move(goal["x"] + 20 + number % 2, goal["y"] + 4, steps=5)
        if first.get_attribute("aria-label") == "read cities":
            break
    page.mouse.up()
    expect(page.locator("#announcer")).to_have_text("read cities is now step 1 of 3.")


def schedule_it_in_a_few_seconds(visitor: Visitor) -> None:
    page = visitor.page
    page.locator("summary[aria-label=More]").click()
    page.get_by_role("link", name="Schedule it").click()
    visitor.ready()
    expect(page.get_by_label("What to run")).to_have_value(re.compile("^process:"))
    page.get_by_text("Once, at a set time").click()
    when = (datetime.now(ZoneInfo("Europe/Berlin")) + timedelta(seconds=20)).replace(tzinfo=None, microsecond=0)
    page.get_by_label("Day and time").fill(when.isoformat())
    expect(page.locator(".preview-words")).to_have_text(re.compile(rf"Once, on .*{when:%H:%M}.*Europe/Berlin"))
    expect(page.locator(".preview-times time")).to_have_text(re.compile(r"in \d+ s"))
    visitor.press("Create schedule")
    page.wait_for_url(re.compile(r"/schedules/$"))
    visitor.toast("Cities, counted is scheduled.")
    expect(page.locator(".schedule-row", has_text="Cities, counted").locator(".schedule-next")).to_have_text(re.compile(r"in \d+ s|now"))


def watch_it(visitor: Visitor, site: Platform) -> int:
    """From the list of schedules, where the run appears by itself, to its end; nothing is reloaded, nothing asked for in vain."""
    page = visitor.page
    link = page.locator(".schedule-row", has_text="Cities, counted").locator(".schedule-last a")
    expect(link).to_contain_text("Running", timeout=60_000)
    link.click()
    page.wait_for_url(re.compile(r"/history/\d+$"))
    visitor.ready()
    run = number_in(page)
    page.evaluate("window.same = true")
    heading, bar, log = page.locator("#run-heading"), page.locator(f"[data-progress='{run}']"), page.locator("ps-log")
    expect(log).to_contain_text("city Oslo")
    expect(heading).to_contain_text("Running")
    visitor.asked()
    lines = LOG.splitlines(keepends=True)
    for number in range(1, 4):
        expect(page.locator(f"[data-progress-message='{run}']")).to_have_text(f"city {number} of 4")
        expect(bar).to_have_js_property("value", number / 4 / 3)
        expect(page.locator(f"[data-step-progress='{run}:1']")).to_have_js_property("value", number / 4)
        visitor.shows_log("".join(lines[: number + 1]))
        let_on(site, run, f"after-{number}")
        expect(log).to_contain_text(lines[number + 1].strip())
    assert visitor.asked() == [], "the page asks while nothing but the log and the progress changes"
    let_on(site, run, "after-4")
    expect(heading).to_contain_text("Success")
    expect(page.locator("#announcer")).to_contain_text(re.compile(r"Cities, counted #\d+ succeeded\."))
    visitor.shows_log(site.log({"id": run}))
    assert visitor.log().startswith(LOG)
    assert visitor.log().count("cities: 4\n") == 2
    assert page.evaluate("window.same")
    # A change of a step or of the run costs one question at most.
    assert len(visitor.asked()) <= 7
    return run


def take_what_it_left(visitor: Visitor, site: Platform, run: int) -> None:
    page = visitor.page
    folder = directory_of(site, run)
    files = page.locator(".files")
    expect(files.locator("a")).to_have_text(["cities.txt", "deep/raw.bin"])
    assert (
        downloaded(page, files.get_by_text("cities.txt"))
        == (folder / "cities.txt").read_bytes()
        == "Oslo\nCairo\nLisbon\nTórshavn\n".encode()
    )
    assert downloaded(page, files.get_by_text("deep/raw.bin")) == bytes(range(256))
    log = site.call("GET", f"/api/v1/runs/{run}/log")[1]
    assert downloaded(page, page.locator(".run-log").get_by_role("link", name="Download", exact=True)) == log
    with zipfile.ZipFile(io.BytesIO(downloaded(page, page.get_by_role("link", name="Download all")))) as packed:
        assert packed.testzip() is None
        inside = {name: packed.read(name) for name in packed.namelist()}
    assert sorted(name for name in inside if not name.endswith(".log")) == ["cities.txt", "deep/raw.bin"]
    assert inside["cities.txt"] == (folder / "cities.txt").read_bytes()
    assert inside["deep/raw.bin"] == bytes(range(256))
    assert [content for name, content in inside.items() if name.endswith(".log")] == [log]


def log_out(visitor: Visitor) -> None:
    page = visitor.page
    page.locator(".sidebar-foot summary").click()
    page.locator(".sidebar-foot").get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile(r"/login$"))
    page.goto("/history/")
    assert page.url.endswith("/login?next=/history/")


def test_a_running_run_is_stopped_with_the_dialog_and_says_who(visit: Visit, site: Platform) -> None:
    source = WAIT + "print('begun', flush=True)\nopen('half.txt', 'w').write('half')\nwait('never')\n"
    run = site.run_script(source, "Endless")["id"]
    visitor = visit()
    page = visitor.page
    visitor.go(f"/history/{run}")
    expect(page.locator("ps-log")).to_contain_text("begun")
    visitor.press("Stop")
    expect(page.locator("#confirm")).to_contain_text("are killed with all their children")
    page.keyboard.press("Escape")
    expect(page.locator("#confirm")).to_be_hidden()
    assert site.get(f"runs/{run}")["status"] == "running"
    visitor.press("Stop")
    visitor.press("Stop the run", page.locator("#confirm"))
    expect(page.locator("#run-heading")).to_contain_text("Stopped")
    expect(page.locator("#run-overview .alert")).to_contain_text("admin")
    expect(page.locator(".files a")).to_have_text(["half.txt"])
    assert site.scripts() == []
    visitor.check()


def test_the_builder_and_the_run_on_a_phone(visit: Visit, site: Platform) -> None:
    for name in ("Thumb one", "Thumb two"):
        site.post("threads", {"name": name, "source": "print('on a phone ' * 30)\n"})
    visitor = visit(PHONE, has_touch=True, is_mobile=True)
    page = visitor.page
    visitor.go("/processes/new")
    page.get_by_label("Name", exact=True).fill("By thumb")
    for name in ("Thumb one", "Thumb two"):
        page.get_by_role("button", name=f"Add {name}").tap()
        expect(page.locator("#announcer")).to_contain_text(f"{name} is added")
    page.locator(".step").nth(1).get_by_label("Move up").tap()
    assert steps_of(page) == ["1 Thumb two", "2 Thumb one"]
    page.locator(".step").nth(1).get_by_label("Run beside the step above").tap()
    visitor.check()
    page.get_by_role("button", name="Save").tap()
    page.wait_for_url(re.compile(r"/processes/\d+$"))
    page.get_by_role("button", name="Run", exact=True).tap()
    page.get_by_role("button", name="Run now").tap()
    page.wait_for_url(re.compile(r"/history/\d+$"))
    expect(page.locator("#run-heading")).to_contain_text("Success")
    expect(page.locator(".stage.together .step")).to_have_count(2)
    visitor.shows_log(site.log({"id": number_in(page)}))
    visitor.check()
