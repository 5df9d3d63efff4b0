"""A run's log and files over the API."""

from typing import Any

from core import layout, marks
from core.downloads import AS_DATA
from history.models import Run
from tests.api.conftest import Caller
from tests.api.world import World


def write_log(run: Run, content: bytes) -> None:
    path = layout.control_folder(run.pk) / "log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_log_is_read_whole_from_an_offset_and_from_its_end(viewer: Caller, make_run: Any) -> None:
    run = make_run()
    log = f"runs/{run.pk}/log"
    empty = viewer.call("GET", log)
    assert (empty.status_code, empty.whole, empty.headers["Content-Type"]) == (200, b"", "text/plain; charset=utf-8")
    write_log(run, b"one\ntwo\nthree \xff\n")
    whole = viewer.call("GET", log)
    assert whole.whole == b"one\ntwo\nthree \xff\n"
    assert (whole.headers["X-Next-Offset"], whole.headers["X-Run-Status"], whole.headers["Content-Length"]) == ("16", "queued", "16")
    assert viewer.call("GET", f"{log}?offset=4").whole == b"two\nthree \xff\n"
    assert viewer.call("GET", f"{log}?offset=99999999999999").whole == b""
    assert viewer.call("GET", f"{log}?tail=1").whole == b"three \xff\n"
    assert viewer.call("GET", f"{log}?tail=0").whole == b""
    for query, field in [
        ("offset=-1", "offset"),
        ("tail=x", "tail"),
        ("offset=1&tail=1", "tail"),
        ("stream=both", "stream"),
        ("lines=3", "lines"),
    ]:
        assert field in viewer.refused("GET", f"{log}?{query}")["fields"]


def test_a_log_is_read_by_stream(viewer: Caller, make_run: Any) -> None:
    run = make_run()
    write_log(run, b"one\nbad\ntwo\n")
    path = layout.log_path(run.pk)
    path.with_name(path.name + marks.SUFFIX).write_bytes(marks.RECORD.pack(0, 5, 4, marks.OUT) + marks.RECORD.pack(4, 6, 4, marks.ERR))
    log = f"runs/{run.pk}/log"
    assert viewer.call("GET", f"{log}?stream=stderr").whole == b"bad\n"
    assert viewer.call("GET", f"{log}?stream=stdout").whole == b"one\ntwo\n"
    assert viewer.call("GET", f"{log}?stream=stdout&tail=1").whole == b"two\n"
    assert viewer.call("GET", f"{log}?stream=stderr&offset=5").whole == b"ad\n"
    assert viewer.call("GET", f"{log}?stream=stderr").headers["X-Next-Offset"] == "12"


def test_a_log_is_read_with_the_time_and_stream_of_each_line(viewer: Caller, make_run: Any) -> None:
    run = make_run()
    write_log(run, b"one\nbad\ntwo\n")
    path = layout.log_path(run.pk)
    records = [(0, 1_767_225_600_007, 4, marks.OUT), (4, 1_767_225_661_500, 4, marks.ERR), (8, 1_767_225_661_500, 4, marks.OUT)]
    path.with_name(path.name + marks.SUFFIX).write_bytes(b"".join(marks.RECORD.pack(*record) for record in records))
    first, second, third = (
        b"2026-01-01T00:00:00.007Z stdout one\n",
        b"2026-01-01T00:01:01.500Z stderr bad\n",
        b"2026-01-01T00:01:01.500Z stdout two\n",
    )
    log = f"runs/{run.pk}/log"
    assert viewer.call("GET", f"{log}?stamps=1").whole == first + second + third
    assert viewer.call("GET", f"{log}?stamps=true&tail=2").whole == second + third
    assert viewer.call("GET", f"{log}?stamps=1&stream=stderr").whole == second
    assert viewer.call("GET", f"{log}?stamps=0").whole == b"one\nbad\ntwo\n"
    assert viewer.call("GET", f"{log}?stamps=1").headers["X-Next-Offset"] == "12"
    assert "stamps" in viewer.refused("GET", f"{log}?stamps=perhaps")["fields"]


def test_files_are_listed_and_downloaded_but_never_shown(viewer: Caller, world: World) -> None:
    path = f"runs/{world.ids['run']}/files"
    [file] = viewer.ok("GET", path)["results"]
    assert (file["path"], file["size_bytes"]) == ("out/table.csv", 8)
    response = viewer.call("GET", f"{path}/out/table.csv")
    assert response.whole == b"a,b\n1,2\n"
    assert response.headers["Content-Disposition"] == 'attachment; filename="table.csv"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == AS_DATA["Content-Security-Policy"]
    viewer.refused("GET", f"{path}/out/other.csv", status=404)
