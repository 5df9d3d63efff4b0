"""A real Chromium for tests, the machine's own; what it finds wrong with a page is collected."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import sync_playwright

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# The console names most refusals of the policy, but not all; the event names every one.
HEED_POLICY = """document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`The policy refuses ${event.violatedDirective}: ${event.blockedURI} ${event.sample}`))"""


@contextmanager
def launched() -> Iterator[Any]:
    """A browser. The ORM must not be used meanwhile in this OS thread: Playwright runs an event loop in it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(**options: Any) -> Iterator[Any]:
    """A page in a fresh browser; the ORM as above."""
    with launched() as browser:
        yield browser.new_context(**options).new_page()


def faults_of(page: Any) -> list[str]:
    """From now on, in this list: what the page's console calls an error (refusals by the CSP among them), and exceptions."""
    faults: list[str] = []

    def heed(message: Any) -> None:
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            faults.append(f"{page.url}: {message.text} ({message.location['url']})")

    page.add_init_script(HEED_POLICY)
    page.on("console", heed)
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    return faults
