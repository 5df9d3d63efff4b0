"""A person at a browser: one window, what it finds wrong, what it asks the server for."""

import re
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, Request, expect

from tests import browser
from tests.platform import PASSWORD, Platform

DESKTOP, PHONE = 1280, 390
# The machine may have other things to do; nothing here takes that long when all is well.
PATIENCE = 30_000
CHECKS = Path(__file__).with_name("checks.js").read_text()

expect.set_options(timeout=PATIENCE)


class Visitor:
    """`page` is the first tab, `tab()` opens more. `faults` and `requests` are those of all tabs."""

    def __init__(self, chromium: Any, site: Platform, session: Any, width: int, **options: Any) -> None:
        size = {"width": width, "height": 844 if width == PHONE else 900}
        here = {"base_url": site.url, "storage_state": session, "viewport": size, "timezone_id": "Europe/Berlin"}
        self.context = chromium.new_context(**{**here, **options})
        self.context.set_default_timeout(PATIENCE)
        self.requests: list[Request] = []
        self._faults: list[list[str]] = []
        self._forgiven: list[str] = []
        self.page = self.tab()

    def tab(self) -> Page:
        page: Page = self.context.new_page()
        self._faults.append(browser.faults_of(page))
        page.on("request", lambda request: self.requests.append(request))
        return page

    def close(self) -> None:
        self.context.close()

    # What the browser complains of

    def forgive(self, *pattern: str) -> None:
        """A complaint that the test itself causes."""
        self._forgiven += pattern

    @property
    def faults(self) -> list[str]:
        every = (fault for found in self._faults for fault in found)
        return [fault for fault in every if not any(re.search(pattern, fault) for pattern in self._forgiven)]

    def asked(self) -> list[str]:
        """Addresses the tabs asked for, the one stream of each left out; the list begins anew."""
        asked, self.requests[:] = [request.url for request in self.requests if "/live?" not in request.url], []
        return asked

    # What a person does

    def go(self, address: str) -> Any:
        """Open an address; returns the answer when the page is ready and listens."""
        answer = self.page.goto(address)
        self.ready()
        return answer

    def ready(self, page: Page | None = None) -> None:
        (page or self.page).locator("html[data-ready] body[data-live-state=open]").wait_for(state="attached")

    def log_in(self, name: str = "admin", password: str = PASSWORD) -> None:
        self.page.goto("/login")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(re.compile(r"/$"))

    def press(self, name: str, within: Locator | Page | None = None) -> None:
        (within or self.page).get_by_role("button", name=name, exact=True).click()

    def toast(self, text: str) -> None:
        expect(self.page.locator("#toasts")).to_contain_text(text)

    def log(self, page: Page | None = None) -> str:
        """What the run's page shows of the log; its lines are drawn one by one."""
        lines: list[str] = (page or self.page).eval_on_selector_all(
            "ps-log .log-line", "all => all.map((line) => line.textContent + '\\n')"
        )
        return "".join(lines)

    def shows_log(self, expected: str, page: Page | None = None, seconds: float = 30) -> None:
        """The page comes to show just this; a state and the lines before it may be drawn one after the other."""
        deadline = time.monotonic() + seconds
        while self.log(page) != expected and time.monotonic() < deadline:
            (page or self.page).wait_for_timeout(50)
        assert self.log(page) == expected

    # What must be true of every page

    def complaints(self) -> list[str]:
        """Names, labels, heading, title, width, contrast: what is wrong with the page as it is now."""
        found: list[str] = self.page.evaluate(CHECKS)
        return found

    def check(self) -> None:
        # A toast that fades or a button that just came to life is judged when it has come to rest.
        complaints = self.complaints()
        for _ in range(25):
            if not complaints:
                return
            self.page.wait_for_timeout(200)
            complaints = self.complaints()
        raise AssertionError(self.page.url, complaints)
