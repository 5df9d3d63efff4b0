"""What hands do on a page, and what eyes read there."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page


def drop(page: Page, selector: str, files: dict[str, str]) -> None:
    """Drop files as a desktop does: by events that carry them."""
    carrier = page.evaluate_handle(
        "files => { const carrier = new DataTransfer();"
        " for (const [name, text] of Object.entries(files)) carrier.items.add(new File([text], name)); return carrier; }",
        files,
    )
    for kind in ("dragenter", "dragover", "drop"):
        page.dispatch_event(selector, kind, {"dataTransfer": carrier})


def file(name: str, content: str | bytes) -> dict[str, Any]:
    data = content.encode() if isinstance(content, str) else content
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def steps_of(page: Page) -> list[str]:
    """Names and places of the builder's steps, as `1a Oslo`."""
    found: list[str] = page.eval_on_selector_all(
        "#steps > [data-step]",
        "all => all.map((step) => `${step.querySelector('.step-number').dataset.number} ${step.getAttribute('aria-label')}`)",
    )
    return found


def number_in(page: Page) -> int:
    return int(page.url.rstrip("/").rsplit("/", 1)[1])


def downloaded(page: Page, link: Locator) -> bytes:
    with page.expect_download() as download:
        link.click()
    return Path(download.value.path()).read_bytes()
