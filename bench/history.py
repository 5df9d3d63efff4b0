"""How long the first page of a long history takes, and others of its pages, beside the bare query."""

import http.client
import re
import time
from collections.abc import Callable
from urllib.parse import urlencode

from bench.options import Options, options
from bench.subject import Subject, subject
from bench.table import Goal, Row, below, median, show
from tests.platform import PASSWORD

THREADS = 20
LIMIT = 50
# The row, its team and its user, and the steps of the page: what a page must read at least.
QUERY = f"""
    SELECT * FROM history_run JOIN accounts_team ON accounts_team.id = team_id LEFT JOIN accounts_user ON accounts_user.id = user_id
    {{where}} ORDER BY history_run.id DESC LIMIT {LIMIT + 1}
"""
STEPS = "SELECT * FROM history_steprun WHERE run_id IN ({})"

Fetch = Callable[[str], None]


def bare_page(platform: Subject) -> Callable[[], None]:
    database = platform.database()

    def read() -> None:
        found = database.execute(QUERY.format(where="")).fetchall()
        database.execute(STEPS.format(",".join(str(row[0]) for row in found[:LIMIT]))).fetchall()

    return read


def pages_of(platform: Subject) -> tuple[Fetch, Fetch]:
    """Get a page of the API by key, and of the site by a session, on connections that stay open, as clients and browsers do."""
    key, session = {"Authorization": f"Bearer {platform.key}"}, {"Cookie": log_in(platform.port)}
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=60)

    def fetch(path: str, headers: dict[str, str]) -> None:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, answer.status, body[:300])

    return lambda query: fetch(f"/api/v1/runs?{query}", key), lambda query: fetch(f"/history/?{query}", session)


def log_in(port: int) -> str:
    """The cookies of a session."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/login")
    answer = connection.getresponse()
    page = answer.read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token, page
    cookies = _cookies(answer)
    form = urlencode({"csrfmiddlewaretoken": token[1], "username": "admin", "password": PASSWORD})
    connection.request("POST", "/login", form, {"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 302, answer.status
    connection.close()
    return _cookies(answer)


def _cookies(answer: http.client.HTTPResponse) -> str:
    return "; ".join(value.partition(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie")


def took(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return 1000 * (time.monotonic() - began)


def measure(platform: Subject, count: int, repeats: int, goal: Goal) -> list[Row]:
    """Rows for pages of a history of `count` runs; each page in turn with the bare query."""
    from_api, from_site = pages_of(platform)
    bare_read = bare_page(platform)
    queries = {
        "first page": "",
        "only failed ones": "status=failed",
        "of one thread": "thread=3",
        "by a part of a name": "q=Thread+1",
        "by a name nobody has": "q=xyzzy",
        "lost ones, of which there are none": "status=lost",
        "by a trigger that none had": "trigger=url",
        "in the middle": f"cursor=b{count // 2}",
        "only stopped ones, in the middle": f"status=stopped&cursor=b{count // 2}",
    }
    rows = []
    for what, query in queries.items():
        bare, api, site = [], [], []
        from_api(query)
        from_site(query)
        for _ in range(repeats):
            bare.append(took(bare_read))
            api.append(took(lambda query=query: from_api(query)))  # type: ignore[misc]
            site.append(took(lambda query=query: from_site(query)))  # type: ignore[misc]
        rows += [
            Row(f"{what}, API", "ms", median(bare), median(api), goal),
            Row(f"{what}, page", "ms", median(bare), median(site), goal),
        ]
    return rows


def show_history(platform: Subject, threads: list[int], have: int, count: int, chosen: Options, goal: Goal) -> None:
    platform.pen("fill_history", threads=threads, count=count - have)
    repeats = chosen.few(20)
    notes = [f"bare: the query of a first page's {LIMIT} runs and their steps, by sqlite3 without Django"]
    show(f"History of {count:,} runs, {LIMIT} a page (medians of {repeats}, in turn)", measure(platform, count, repeats, goal), notes)


def main() -> None:
    chosen = options(__doc__)
    with subject() as platform:
        threads = [platform.add_thread(f"Thread {number}", "pass\n") for number in range(1, THREADS + 1)]
        show_history(platform, threads, 0, 10_000, chosen, below(30, "ms"))
        if chosen.million:
            show_history(platform, threads, 10_000, 1_000_000, chosen, below(100, "ms"))


if __name__ == "__main__":
    main()
