"""Every page in both themes, on a desk and on a phone: pictures of it, and what must be true of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.urls import resolve
from playwright.sync_api import Page, expect

from pyscheduler.urls import urlpatterns
from tests.browser.gate import WAIT
from tests.browser.visitor import DESKTOP, PHONE, Visitor
from tests.platform import Platform

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
LONG = "A name so long that it has to be cut somewhere or go on in a second line, whatever is beside it"


def open_dialog(name: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        page.locator(f"[data-dialog={name}]").first.click()
        expect(page.locator(f"#{name}")).to_be_visible()

    return act


def unfold(page: Page) -> None:
    folded = page.locator("main details:not(.menu, [open]) > summary")
    while folded.count():
        folded.first.click()


def find_nothing(page: Page) -> None:
    page.locator("main input[type=search]").first.fill("no such thing")
    expect(page.locator(".empty")).to_be_visible()


def open_menu(page: Page) -> None:
    page.locator(".person summary:visible").click()


def see_that_it_runs(page: Page) -> None:
    expect(page.locator("ps-log")).to_contain_text("half way")
    expect(page.locator("[data-step-progress]")).to_have_js_property("value", 0.5)


@dataclass(frozen=True)
class Sight:
    """A page in a state worth a picture. `path` names things of the site in braces."""

    name: str
    path: str
    act: Callable[[Page], None] | None = None
    status: int = 200


SIGHTS = [
    Sight("home", "/"),
    Sight("home-menu", "/", open_menu),
    Sight("threads", "/threads/"),
    Sight("threads-folder", "/threads/?folder=1"),
    Sight("threads-nothing-fits", "/threads/", find_nothing),
    Sight("threads-new", "/threads/", open_dialog("new-thread")),
    Sight("threads-upload", "/threads/", open_dialog("upload-thread")),
    Sight("threads-new-folder", "/threads/", open_dialog("new-folder")),
    Sight("thread", "/threads/{long}"),
    Sight("thread-unfolded", "/threads/{thread}", unfold),
    Sight("thread-run", "/threads/{thread}", open_dialog("run-thread")),
    Sight("thread-draft-at-fault", "/threads/{faulty}"),
    Sight("thread-version", "/threads/{thread}/versions/1"),
    Sight("thread-delete", "/threads/{long}/delete"),
    Sight("thread-delete-in-use", "/threads/{thread}/delete"),
    Sight("variables", "/threads/variables"),
    Sight("environments", "/environments/"),
    Sight("processes", "/processes/"),
    Sight("builder-new", "/processes/new"),
    Sight("builder", "/processes/{process}"),
    Sight("builder-unfolded", "/processes/{process}", unfold),
    Sight("process-delete", "/processes/{process}/delete"),
    Sight("schedules", "/schedules/"),
    Sight("schedule-new", "/schedules/new"),
    Sight("schedule", "/schedules/{schedule}"),
    Sight("schedule-edit", "/schedules/{schedule}/edit"),
    Sight("schedule-delete", "/schedules/{schedule}/delete"),
    Sight("history", "/history/"),
    Sight("history-nothing-fits", "/history/?status=lost&q=nothing"),
    Sight("run-running", "/history/{running}", see_that_it_runs),
    Sight("run-success", "/history/{good}"),
    Sight("run-failed", "/history/{bad}"),
    Sight("run-stopped", "/history/{stopped}"),
    Sight("health", "/health/"),
    Sight("not-found", "/no/such/page", None, 404),
    Sight("api", "/api/v1/docs"),
]


@pytest.fixture(scope="module")
def things(site: Platform) -> dict[str, int]:
    """One of each thing, and runs that ended in each way; the schedule and the process are the demo's."""
    process, schedule = site.get("processes")["results"][0], site.get("schedules")["results"][0]["id"]
    long = site.post("threads", {"name": LONG, "source": f'"""{LONG * 3}"""\nprint("a")\n', "description": LONG * 4})["id"]
    faulty = site.post("threads", {"name": "Not yet", "source": "print(1)\n"})["id"]
    site.call("PATCH", f"/api/v1/threads/{faulty}/draft", {"source": "print(1\n", "revision": 1})
    good = site.post(f"processes/{process['id']}/run")
    colours = "print('\\x1b[31mred\\x1b[0m \\x1b[1;32mgreen\\x1b[0m \\x1b[33myellow\\x1b[0m \\x1b[44mon blue\\x1b[0m plain')\n"
    bad = site.run_script(f"{colours}raise ValueError('this went wrong')\n", LONG)
    half = "import threadkit\nthreadkit.progress(1, 2, 'half way')\nprint('half way', flush=True)\nwait('never')\n"
    stopped, running = (site.run_script(WAIT + half, name) for name in ("Told to stop", "Goes on"))
    site.until(lambda: site.get(f"runs/{stopped['id']}")["status"] == "running")
    site.post(f"runs/{stopped['id']}/stop")
    runs = {"good": good, "bad": bad, "stopped": stopped}
    ended = {name: site.finished(run)["id"] for name, run in runs.items()}
    return {
        **ended,
        "running": running["id"],
        "process": process["id"],
        "thread": process["steps"][0]["thread"],
        "schedule": schedule,
        "long": long,
        "faulty": faulty,
    }


@pytest.fixture(scope="module")
def times(pictures: Path) -> Iterator[dict[str, list[float]]]:
    """How long the server took for each page, told in the end and kept beside the pictures."""
    measured: dict[str, list[float]] = {}
    yield measured
    lines = [f"{name:24} {min(taken):6.0f} ms at best, {max(taken):6.0f} at worst" for name, taken in measured.items()]
    (pictures.parent / "page-times.txt").write_text("\n".join(lines) + "\n")
    print("", "Time in the server, while the machine did other things too:", *lines, sep="\n")


def test_every_page_has_its_picture(things: dict[str, int]) -> None:
    """Pages that are whole pages; pieces of pages, downloads and verbs are none."""
    pieces = {"runs", "versions", "library", "step", "log", "files", "file", "preview", "logout", "login", "environment", "banner"}
    verbs = {"create", "upload", "new_folder", "delete_folder", "draft", "save", "settings", "restore", "toggle", "run", "stop", "again"}
    verbs |= {"skip_next", "clone", "end_pause", "start"}
    verbs |= {"set_variable", "delete_variable", "set_environment", "rebuild_environment", "add_requirement"}
    verbs |= {"try-levels", "ask-least", "begin-maintenance", "end-maintenance", "check", "rebuild", "collect", "pause", "resume", "retry"}
    starts = {"start_thread", "start_process"}
    seen = {resolve(sight.path.split("?")[0].format(**things)).view_name for sight in SIGHTS if sight.status == 200}
    there = {name for name in view_names(urlpatterns) if name.split(":")[0] not in ("admin", "demo")}
    own = {name for name in there if name.split(":")[-1] not in pieces | verbs | starts and not name.startswith("api")}
    own.add("history:run")
    assert own <= seen


def view_names(patterns: list[Any], space: str = "") -> Iterator[str]:
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from view_names(pattern.url_patterns, f"{space}{pattern.namespace}:" if pattern.namespace else space)
        elif pattern.name:
            yield space + pattern.name


FAULTY = """<html><head><title>Nothing</title><style>::placeholder { color: #bbb }</style></head><body><main>
<h1>One</h1><h1>Two</h1><p id="a" style="color: #999; background: #fff">pale</p><p id="a">again</p>
<input><input aria-label="Name" placeholder="pale too" style="background: #fff"><button></button><a href="/"><svg></svg></a>
<label for="gone">Gone</label><img src="x"><dialog></dialog><p tabindex="3">first</p><div style="width: 3000px">wide</div>
<p style="opacity: 0.4">faded</p><p style="color: rgb(0 0 0 / 40%)">see-through</p></main></body></html>"""


def test_the_checks_find_what_is_wrong(visit: Visit) -> None:
    visitor = visit()
    visitor.page.set_content(FAULTY)
    said = "\n".join(visitor.complaints())
    for words in ("no label: <input>", "no name: <button>", "no name: <a", "no text beside the picture: <img", "a dialog without a name"):
        assert words in said
    for words in (
        "2 first headings",
        "the title is “Nothing”",
        "no language",
        "out of the natural order",
        "the id a is there more than once",
    ):
        assert words in said
    for words in ("for names gone", "3000", "of “pale”", "of “pale too”", "of “faded”", "of “see-through”"):
        assert words in said
    assert "of “again”" not in said


def test_refusals_of_the_policy_and_exceptions_are_noticed(visit: Visit) -> None:
    visitor = visit()
    visitor.go("/")
    visitor.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">red</p>')")
    visitor.page.evaluate("setTimeout(() => { throw new Error('thrown by the test'); })")
    visitor.page.wait_for_function("performance.now() > 0")
    visitor.page.reload()
    said = "\n".join(visitor.faults)
    assert "The policy refuses style-src-attr" in said
    assert "thrown by the test" in said
    visitor.forgive("Content Security Policy", "The policy refuses style-src-attr", "thrown by the test")


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_are_readable_named_and_fit(
    visit: Visit, things: dict[str, int], pictures: Path, times: dict[str, list[float]], theme: str, width: int
) -> None:
    visitor = visit(width, color_scheme=theme, reduced_motion="reduce")
    visitor.forgive("status of 404")
    faults = []
    for sight in SIGHTS:
        answer = visitor.page.goto(sight.path.format(**things))
        assert answer.status == sight.status, sight
        visitor.page.locator("html[data-ready]").wait_for(state="attached")
        timing = answer.request.timing
        times.setdefault(sight.name, []).append(timing["responseStart"] - timing["requestStart"])
        if sight.act:
            sight.act(visitor.page)
        faults += [f"{sight.name}: {fault}" for fault in visitor.complaints()]
        visitor.page.evaluate("scrollTo(0, 0)")
        visitor.page.screenshot(path=pictures / f"{sight.name}-{theme}-{width}.png", full_page=True)
    assert faults == []


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_log_in_is_readable_named_and_fits(visit: Visit, pictures: Path, theme: str, width: int) -> None:
    visitor = visit(width, storage_state=None, color_scheme=theme)
    page = visitor.page
    page.goto("/login")
    visitor.check()
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("correct username and password")
    visitor.check()
    page.screenshot(path=pictures / f"login-{theme}-{width}.png", full_page=True)


@pytest.mark.parametrize(
    "name", ["home", "threads", "thread", "processes", "builder", "schedules", "schedule-new", "schedule", "history", "run-failed"]
)
def test_the_keyboard_finds_its_way_and_is_seen(visit: Visit, things: dict[str, int], name: str) -> None:
    """The first stop is the link past the navigation; each further one is marked, in sight and not covered."""
    visitor = visit()
    page = visitor.page
    visitor.go(next(sight.path for sight in SIGHTS if sight.name == name).format(**things))
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    expect(page.locator(".skip-link")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    unseen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        state = page.evaluate(FOCUS)
        if state == "left":
            break
        if state:
            unseen.append(state)
        if page.evaluate("document.activeElement.closest('ps-editor') !== null"):
            page.keyboard.press("Escape")
    assert unseen == []


FOCUS = """() => {
  const element = document.activeElement;
  if (!element || element === document.body) return "left";
  const shown = element.type === "radio" || element.type === "checkbox" ? element.closest("label") ?? element : element;
  const marks = [element, shown, element.parentElement, element.closest("ps-editor") ?? element].map((one) => getComputedStyle(one));
  marks.push(getComputedStyle(element, "::after"));
  const marked = marks.some((style) => (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none");
  const box = shown.getBoundingClientRect();
  const inside = (value, most) => Math.min(Math.max(value, 0), most - 1);
  const top = document.elementFromPoint(inside(box.left + box.width / 2, innerWidth), inside(box.top + box.height / 2, innerHeight));
  const inSight = box.bottom > 0 && box.top < innerHeight && box.width > 0;
  const free = top && (shown.contains(top) || top.contains(shown) || element.contains(top));
  if (element.matches(":focus-visible") && marked && inSight && free) return "";
  const words = element.outerHTML.replace(/\\s+/g, " ").slice(0, 140);
  return `${marked ? "" : "not marked "}${inSight ? "" : "out of sight "}${free ? "" : `under ${top?.className} `}: ${words}`;
}"""
