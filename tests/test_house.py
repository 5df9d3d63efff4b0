"""What holds for the house as a whole: layers, migrations, settings, templates, the lock."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import SystemCheckError

pytestmark = pytest.mark.once

ROOT = Path(settings.BASE_DIR)
PACKAGES = (
    "pyscheduler",
    "operations",
    "schedules",
    "engine",
    "history",
    "processes",
    "threads",
    "environments",
    "accounts",
    "events",
    "core",
)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))

INLINE = {
    "a style attribute": re.compile(r"<[a-z][^>]*\sstyle\s*=", re.I),
    "a style element": re.compile(r"<style\b", re.I),
    "a script of its own text": re.compile(r"<script\b(?![^>]*\bsrc\s*=)(?![^>]*type=\"(?:application|text)/(?:json|plain)\")", re.I),
    "an event handler": re.compile(r"<[a-z][^>]*\s(?:on[a-z]+|hx-on[:a-z-]*)\s*=", re.I),
    "an address of script": re.compile(r"(?:href|src|action)\s*=\s*[\"']\s*javascript:", re.I),
    "an htmx expression that needs eval": re.compile(
        r"hx-(?:vals|headers|vars)[^=]*=\s*[\"']\s*(?:js|javascript):|hx-trigger=\"[^\"]*\[", re.I
    ),
}


def sources() -> Iterator[Path]:
    for package in (*PACKAGES, "tests"):
        yield from (path for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts)


def faults_in(text: str) -> list[str]:
    return [what for what, pattern in INLINE.items() if pattern.search(text)]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_a_template_has_nothing_inline(path):
    text = re.sub(r"\{% comment %\}.*?\{% endcomment %\}", "", path.read_text(encoding="utf-8"), flags=re.S)
    assert faults_in(re.sub(r"\{([#%{]).*?[#%}]\}", "", text, flags=re.S)) == []


@pytest.mark.parametrize(
    "text",
    [
        '<p class="a" style="color: red">',
        "<style>p {}</style>",
        "<script>alert(1)</script>",
        '<button onclick="go()">',
        '<div hx-on:click="go()">',
        '<a href="javascript:go()">',
        """<div hx-vals='js:{a: 1}'>""",
        '<div hx-trigger="click[ctrlKey]">',
    ],
)
def test_the_look_for_inline_parts_finds_them(text):
    assert faults_in(text) != []


LIVE = re.compile(r"ps:(run|schedule|thread|process) from:body")


@pytest.mark.parametrize("path", [path for path in TEMPLATES if LIVE.search(path.read_text())], ids=lambda path: path.stem)
def test_a_live_region_catches_up_after_it_missed_something(path):
    """`ps:resync` says that events were left out."""
    triggers = [found for found in re.findall(r'hx-trigger="([^"]*)"', path.read_text()) if LIVE.search(found)]
    assert triggers
    assert [found for found in triggers if "ps:resync from:body" not in found] == []


@pytest.mark.parametrize("path", [path for path in TEMPLATES if "{% extends" in path.read_text()], ids=lambda path: path.stem)
def test_a_page_subscribes_to_what_its_regions_wait_for(path):
    text = path.read_text()
    topics = re.search(r"{% block topics %}(.*?){% endblock %}", text)
    known = {word.partition(":")[0] for word in (topics[1] if topics else "run").split(",")}
    assert set(LIVE.findall(text)) <= known


def test_every_icon_is_drawn_and_every_drawing_is_used():
    drawn = set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static/icons/sprite.svg").read_text()))
    listed = {line.split()[0] for line in (ROOT / "frontend/icons.txt").read_text().splitlines() if line and not line.startswith("#")}
    used = set(re.findall(r'{% icon "([^"]+)"', "".join(path.read_text() for path in TEMPLATES)))
    words = "".join(
        path.read_text(encoding="utf-8")
        for path in (*sources(), *TEMPLATES, *(ROOT / "static/js").glob("*.js"))
        if "tests" not in path.parts
    )
    assert drawn == listed
    assert used <= drawn
    assert [name for name in sorted(drawn) if not re.search(rf"[\"'#]{re.escape(name)}[\"' ]", words)] == []


def test_every_class_of_the_style_sheets_is_used():
    """By a template, a script or a Python module that renders; those put together of parts are named by their first."""
    together = ("is-", "tok-", "log-", "api-", "sortable-")
    text = re.sub(r"/\*.*?\*/|\{[^{}]*\}", " ", "".join(path.read_text() for path in (ROOT / "static/css").glob("*.css")), flags=re.S)
    classes = {name for name in re.findall(r"\.([a-z][\w-]*)", text) if not name.startswith(together)}
    shown = (*TEMPLATES, *(path for path in (ROOT / "static/js").glob("*.js") if ".min." not in path.name), *sources())
    words = set(re.findall(r"[\w-]+", "".join(path.read_text(encoding="utf-8") for path in shown if "tests" not in path.parts)))
    assert len(classes) > 100
    assert sorted(classes - words) == []


def test_there_are_templates_to_look_at():
    assert len(TEMPLATES) > 10


def test_an_os_thread_is_never_taken_for_one_of_ours():
    wrong = re.compile(r"^\s*from (?:threading|multiprocessing) import .*\b(?:Thread|Process)\b", re.M)
    assert [str(path) for path in sources() if wrong.search(path.read_text(encoding="utf-8"))] == []


def test_no_work_is_left_for_later_in_the_sources():
    marks = re.compile(r"\b(?:TODO|FIXME|XXX|TEMPORARY)\b")
    assert [str(path) for path in sources() if path != Path(__file__) and marks.search(path.read_text(encoding="utf-8"))] == []


def test_rooms_import_only_from_rooms_below():
    done = subprocess.run([Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.django_db
def test_models_and_migrations_agree():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.django_db
def test_the_settings_pass_the_deployment_checks():
    try:
        call_command("check", "--deploy", "--fail-level", "WARNING")
    except SystemCheckError as fault:
        pytest.fail(str(fault))


def test_the_readme_tells_of_every_variable_and_of_no_other():
    read = set(re.findall(r"PYSCHED_[A-Z_]+", (ROOT / "pyscheduler/settings.py").read_text()))
    table = (ROOT / "README.md").read_text().partition("## Configuration")[2].partition("\n## ")[0]
    assert set(re.findall(r"PYSCHED_[A-Z_]+", table)) == read


@pytest.mark.skipif(not (shutil.which("uv") or (ROOT / ".uv/bin/uv").exists()), reason="uv is not on this machine")
def test_requirements_equal_the_lock():
    done = subprocess.run([ROOT / "scripts/requirements"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (ROOT / "requirements.txt").read_text() == done.stdout, "run `make requirements`"


@pytest.mark.parametrize("path", [ROOT / "static", ROOT / "templates", ROOT / "operations/democontent/site"], ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere(path):
    """The product works without the internet: no font, script or picture comes from another host."""
    outside = re.compile(r"(?:\bsrc\s*=\s*|<link\b[^>]*href\s*=\s*|@import\s+|url\()[\"']?\s*(?:https?:)?//", re.I)
    files = [file for file in path.rglob("*") if file.suffix in {".html", ".css"}]
    assert files
    assert [str(file) for file in files if outside.search(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("command", ["schedules.management.commands.scheduler", "engine.management.commands.qcluster"])
def test_clock_and_workers_do_without_pages_and_api(command: str) -> None:
    """They would hold 18 MB more for as long as they run."""
    script = f"""
import sys, django, importlib
django.setup()
command = importlib.import_module("{command}").Command
unwanted = {{"pyscheduler.urls", "rest_framework.views", "rest_framework.serializers"}}
command.handle = lambda *_, **__: print(sorted(unwanted & set(sys.modules)))
command(stdout=sys.stdout).run_from_argv(["manage.py", "{command.rpartition(".")[2]}"])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stderr
