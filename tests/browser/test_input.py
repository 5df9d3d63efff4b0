"""What people bring: files by field and by drop, good and bad, and names of every kind."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.hands import downloaded, drop, file
from tests.browser.visitor import Visitor
from tests.platform import Platform

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]


def test_dropped_files_become_a_thread(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    visitor.go("/threads/")
    drop(page, "main", {"helper.py": "x = 1\n", "pages.csv": "a,b\n1,2\n", "notes.txt": "n"})
    dialog = page.locator("#upload-thread")
    expect(dialog).to_be_visible()
    drop(page, "#upload-thread ps-upload", {"more.json": "{}"})
    expect(page.locator("#announcer")).to_have_text("more.json is added.")
    dialog.get_by_label("Name").fill("Dropped")
    visitor.press("Upload", dialog)
    page.wait_for_url(re.compile(r"/threads/\d+$"))
    listed = page.locator("#thread-files li a")
    expect(listed).to_have_text(["helper.py", "more.json", "notes.txt", "pages.csv"])
    assert downloaded(page, listed.nth(3)) == b"a,b\n1,2\n"


BAD_UPLOADS = [
    (file("a.txt", "print(1)\n"), None, "'a.txt' is not accepted"),
    (file("a.py", ""), None, "The script is empty."),
    (file("a.py", "print(1\n"), None, "does not compile"),
    (file("a.py", b"x = '\xe9'\n"), None, "Line 1 is not UTF-8"),
    (file("a.py", b"MZ\0\0"), None, "This is a binary file"),
    (file("a.py", "#" * 1_050_000), None, "bytes; the limit is 1,048,576"),
    (file("a.py", "print(1)\n"), file("a.csv", "a,b\n1\n"), "Line 2 of the CSV has 1 columns"),
    (file("a.py", "print(1)\n"), file("a.csv", b"\x89PNG\0"), "This is a binary file, not a CSV."),
]


def test_a_bad_upload_says_why_and_loses_nothing(visit: Visit, site: Platform) -> None:
    visitor = visit()
    visitor.forgive("status of 4(22|13|15|00)")
    page = visitor.page
    visitor.go("/threads/")
    visitor.press("Upload")
    dialog = page.locator("#upload-thread")
    dialog.get_by_label("Name").fill("Kept name")
    for script, table, words in BAD_UPLOADS:
        dialog.get_by_label("Script (.py)").set_input_files(script)
        dialog.get_by_label("Input CSV").set_input_files(table or [])
        visitor.press("Upload", dialog)
        expect(dialog.locator(".errors, .alert")).to_contain_text([words])
        expect(dialog.get_by_label("Name")).to_have_value("Kept name")
        assert dialog.get_by_label("Script (.py)").evaluate("input => input.files[0].name") == script["name"]
    visitor.check()
    dialog.get_by_label("Input CSV").set_input_files(file("a.csv", "a,b\n1,2\n"))
    visitor.press("Upload", dialog)
    page.wait_for_url(re.compile(r"/threads/\d+$"))
    assert [thread["name"] for thread in site.get("threads?limit=200")["results"]].count("Kept name") == 1


@pytest.mark.parametrize("name", ["", "x" * 300, "!!!"])
def test_a_bad_name_is_refused_beside_its_field(visit: Visit, name: str) -> None:
    visitor = visit()
    visitor.forgive("status of 422")
    visitor.go("/threads/")
    visitor.press("New thread")
    dialog = visitor.page.locator("#new-thread")
    dialog.get_by_label("Name").fill(name)
    visitor.press("Create and edit", dialog)
    expect(dialog.locator(".errors")).to_be_visible()
    expect(dialog.get_by_label("Name")).to_have_value(name)
    expect(dialog.get_by_label("Name")).to_have_attribute("aria-invalid", "true")


@pytest.mark.parametrize(("name", "safe"), [("天気の報告", "thread"), ("../../etc", "etc")])
def test_any_name_becomes_a_safe_one(visit: Visit, name: str, safe: str) -> None:
    visitor = visit()
    visitor.go("/threads/")
    visitor.press("New thread")
    dialog = visitor.page.locator("#new-thread")
    dialog.get_by_label("Name").fill(name)
    expect(dialog.locator(".safe-name code")).to_have_text(safe)
    visitor.press("Create and edit", dialog)
    visitor.page.wait_for_url(re.compile(r"/threads/\d+$"))
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text(name)
    expect(visitor.page.locator(".page-sub .mono")).to_have_text(re.compile(rf"{safe}(-\d)?"))
