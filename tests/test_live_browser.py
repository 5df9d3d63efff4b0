"""live.js and <ps-log> in Chromium, under the product's own content policy."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import browser
from tests.installation import Installation, add

pytestmark = [pytest.mark.browser, pytest.mark.skipif(browser.CHROMIUM is None, reason="There is no Chromium here.")]
PRELUDE = 'from django.conf import settings\nsettings.ROOT_URLCONF = "tests.live_page"\n'


@pytest.fixture(scope="module")
def site() -> Iterator[Installation]:
    made = Installation(PRELUDE)
    yield made
    made.close()


@pytest.fixture
def run(site: Installation) -> int:
    made = int(site.tell("new_run", user_id=site.people["owner"]["id"], team_id=site.team))
    site.tell("start_run", run_id=made)
    return made


@pytest.fixture
def log(site: Installation, run: int) -> Path:
    return site.control(run) / "log"


@pytest.fixture
def page(site: Installation, run: int) -> Iterator[Any]:
    with browser.opened(viewport={"width": 1000, "height": 600}) as page:
        cookie = {"name": "sessionid", "value": site.people["viewer"]["session"], "url": f"http://127.0.0.1:{site.port}"}
        page.context.add_cookies([cookie])
        faults = browser.faults_of(page)
        show(site, page, run)
        yield page
        assert [fault for fault in faults if "ERR_" not in fault] == []


def show(site: Installation, page: Any, run: int) -> None:
    page.goto(f"http://127.0.0.1:{site.port}/page/{run}")
    until(page, "document.body.dataset.liveState === 'open'")
    page.evaluate("document.body.addEventListener('ps:run', (event) => { document.body.dataset.told = event.detail.status; })")


def until(page: Any, condition: str, seconds: float = 30) -> None:
    """Playwright's own waiting needs eval, which the policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(20)


def until_log_has(page: Any, text: str, seconds: float = 30) -> None:
    until(page, f"document.querySelector('.log-view').textContent.includes({text!r})", seconds)


FROM_END = "(view => view.scrollHeight - view.scrollTop - view.clientHeight)(document.querySelector('.log-view'))"


def test_the_log_grows_and_the_status_changes_without_a_reload(site: Installation, page: Any, run: int, log: Path) -> None:
    assert "No output so far." in page.inner_text(".log-view")
    add(log, b"first line\n")
    until_log_has(page, "first line")
    add(log, b"last line\n")
    site.tell("end_run", run_id=run)
    until(page, "document.body.dataset.told === 'success'")
    assert page.inner_text(".log-view") == "first line\nlast line"


def test_a_run_that_printed_nothing_says_so_in_the_end(site: Installation, page: Any, run: int) -> None:
    site.tell("end_run", run_id=run)
    until_log_has(page, "This run printed nothing.")


def test_colours_progress_bars_and_markup(page: Any, log: Path) -> None:
    add(log, b"\x1b[31mred \x1b[1mbold\x1b[0m plain \x1b[38;5;208mindexed\x1b[38;2;10;200;10mtrue\x1b[m \x1b[42mback\x1b[0m\n")
    for share in range(0, 101, 20):
        add(log, b"\r%3d%%|" % share)
    add(log, b"\nwindows\r\n<b>no markup</b> \x1b]8;;http://x\x07link\x1b]8;;\x07\x1b[2Jgone\nsplit \x1b[3")
    until_log_has(page, "split")
    add(log, b"2mgreen\x1b[0m \xe2\x82")
    until_log_has(page, "green")
    add(log, b"\xac end")
    until_log_has(page, "€ end")
    shown = page.inner_text(".log-view").splitlines()
    assert shown == ["red bold plain indexedtrue back", "100%|", "windows", "<b>no markup</b> linkgone", "split green € end"]
    spans = page.evaluate("[...document.querySelectorAll('.log-view span')].map(span => [span.textContent, span.className])")
    assert spans == [
        ["red ", "log-fg-1"],
        ["bold", "log-bold log-fg-1"],
        ["indexed", "log-fg-9"],
        ["true", "log-fg-2"],
        ["back", "log-bg-2"],
        ["green", "log-fg-2"],
    ]


def test_a_million_lines_leave_the_page_small_and_quick(page: Any, log: Path) -> None:
    line = b"line %07d of a log that is very long, to see what happens then\n"
    with log.open("wb", buffering=0) as file:
        for start in range(0, 1_000_000, 1000):
            file.write(b"".join(line % number for number in range(start, start + 1000)))
    until_log_has(page, "line 0999999", 60)
    assert page.evaluate("document.querySelectorAll('.log-line').length") <= 5200
    assert page.evaluate("performance.memory.usedJSHeapSize") < 30_000_000
    assert "download the whole log" in page.inner_text(".log-view")
    until(page, f"{FROM_END} < 2")


def test_who_reads_further_up_is_left_alone_and_gets_back_with_one_click(page: Any, log: Path) -> None:
    add(log, b"".join(b"line %d\n" % number for number in range(500)))
    until_log_has(page, "line 499")
    until(page, f"{FROM_END} < 2")
    assert not page.is_visible(".log-jump")
    page.evaluate("document.querySelector('.log-view').scrollTop = 300")
    page.wait_for_timeout(100)
    add(log, b"more\n" * 50)
    until_log_has(page, "more")
    assert page.evaluate("document.querySelector('.log-view').scrollTop") == 300
    page.click(".log-jump")
    until(page, f"{FROM_END} < 2")
    add(log, b"and more\n" * 50)
    until_log_has(page, "and more")
    until(page, f"{FROM_END} < 2")


def test_what_is_shown_can_be_searched_by_keyboard(page: Any, log: Path) -> None:
    add(log, b"".join(b"line %d%s\n" % (number, b" Needle" if number % 100 == 7 else b"") for number in range(400)))
    until_log_has(page, "line 399")
    page.focus(".log-view")
    page.keyboard.press("/")
    page.keyboard.type("needle")
    seen = []
    for _ in range(5):
        seen.append((page.inner_text(".log-count"), page.text_content(".log-current")))
        page.keyboard.press("Enter")
    assert seen == [(f"{n} of 4", f"line {(n - 1) * 100 + 7} Needle") for n in (1, 2, 3, 4, 1)]
    page.keyboard.press("Escape")
    assert page.evaluate("document.querySelectorAll('.log-hit').length") == 0
    page.fill(".log-search", "nowhere")
    assert page.inner_text(".log-count") == "Not found"


def test_the_page_catches_up_after_the_server_was_away(site: Installation, page: Any, run: int, log: Path) -> None:
    add(log, b"before\n")
    until_log_has(page, "before")
    port = site.port
    assert site.end_web()[0] == 0
    add(log, b"meanwhile\n")
    site.tell("end_run", run_id=run)
    site.start_web(port=port)
    until(page, "document.body.dataset.told === 'success'")
    assert page.inner_text(".log-view") == "before\nmeanwhile"


def test_many_tabs_of_one_browser_all_load_and_the_one_in_use_is_live(site: Installation, page: Any, run: int, log: Path) -> None:
    tabs = [page.context.new_page() for _ in range(7)]
    for tab in tabs:
        tab.goto(f"http://127.0.0.1:{site.port}/page/{run}")
    until(tabs[-1], "document.body.dataset.liveState === 'open'")
    until(tabs[0], "document.body.dataset.liveState === 'evicted'")
    add(log, b"news\n")
    until_log_has(tabs[-1], "news")
    tabs[0].bring_to_front()
    tabs[0].evaluate("dispatchEvent(new Event('focus'))")
    until_log_has(tabs[0], "news")


def test_a_choice_of_lines_that_shows_none_says_so(page: Any, log: Path) -> None:
    add(log, b"all is well\n")
    until_log_has(page, "all is well")
    page.get_by_label("Which lines are shown").select_option("Errors")
    assert not page.is_visible(".log-line")
    assert page.evaluate("getComputedStyle(document.querySelector('.log-view'), '::after').content") == '"No errors in what is shown."'
    page.get_by_label("Which lines are shown").select_option("Output")
    assert page.is_visible(".log-line")
    assert page.evaluate("getComputedStyle(document.querySelector('.log-view'), '::after').content") == "none"
