"""The first start: administrator, team, demo content; and the demo's scripts really run."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from django.contrib.auth import authenticate
from django.core.management.base import CommandError

from accounts.models import Membership, Team, User
from history.orders import RunOrder, plan_run
from history.status import Trigger
from operations.bootstrap import ensure_administrator, readable_password
from operations.demo import CONTENT, SCRIPTS, ensure_demo
from processes.models import Process
from processes.services import delete_process
from schedules.models import Schedule
from threads.models import FileRole, Thread
from threads.services import delete_thread

pytestmark = pytest.mark.django_db


def test_the_first_administrator_gets_a_password_and_a_team():
    made = ensure_administrator()
    assert made is not None
    assert (made.username, made.was_given) == ("admin", False)
    user = authenticate(username="admin", password=made.password)
    assert user is not None
    assert user.is_superuser
    assert Membership.objects.get(user=user).team.name == "Default"


def test_the_administrator_is_made_once():
    assert ensure_administrator() is not None
    assert ensure_administrator() is None
    assert User.objects.count() == Team.objects.count() == 1


def test_the_operator_chooses_name_and_password(settings):
    settings.ADMIN_USERNAME, settings.ADMIN_PASSWORD = "chief", "chosen by hand"
    made = ensure_administrator()
    assert made is not None
    assert made.was_given
    assert authenticate(username="chief", password="chosen by hand")


@pytest.mark.parametrize("name", ["not a name", "x" * 151, "a/b"])
def test_a_name_that_cannot_be_used_is_told_with_its_variable(settings, name):
    settings.ADMIN_USERNAME = name
    with pytest.raises(CommandError, match="PYSCHED_ADMIN_USERNAME"):
        ensure_administrator()


def test_an_ordinary_person_is_not_made_administrator(settings):
    User.objects.create_user("admin", password="mine")
    with pytest.raises(CommandError, match="not an administrator"):
        ensure_administrator()
    assert not User.objects.filter(is_superuser=True).exists()


def test_passwords_differ_and_can_be_read_out():
    made = {readable_password() for _ in range(100)}
    assert len(made) == 100
    assert all(len(text) == 27 and text.replace("-", "").isalpha() and text.islower() for text in made)


def test_the_demo_is_a_process_of_three_threads_with_a_schedule():
    ensure_administrator()
    assert ensure_demo()
    process = Process.objects.get()
    steps = plan_run(RunOrder(target=process, trigger=Trigger.MANUAL)).steps
    assert [step.thread.name for step in steps] == ["Fetch weather pages", "Build weather table", "Write weather report"]
    assert [step.stage for step in steps] == [1, 2, 3]
    assert steps[0].thread.current_version.files.get().role == FileRole.INPUT
    schedule = Schedule.objects.get()
    assert (schedule.target, schedule.cron, schedule.enabled) == (process, "0 7 * * *", True)
    assert schedule.next_run_at is not None


def test_the_demo_is_made_once_even_when_it_was_deleted():
    ensure_administrator()
    user = User.objects.get()
    assert ensure_demo()
    delete_process(process=Process.objects.get(), user=user)
    for thread in Thread.objects.all():
        delete_thread(thread=thread, user=user)
    assert not ensure_demo()
    assert not Thread.objects.exists()
    assert not Schedule.objects.exists()


def test_without_an_administrator_there_is_no_demo_yet():
    assert not ensure_demo()
    ensure_administrator()
    assert ensure_demo()


def test_the_demo_site_is_open_to_all_and_small(client):
    index = client.get("/demo/")
    assert index.status_code == 200
    assert "Reykjavík" in index.content.decode()
    assert client.get("/demo/oslo.html")["Content-Type"] == "text/html; charset=utf-8"
    assert client.get("/demo/site.css")["Content-Type"].startswith("text/css")
    assert client.post("/demo/oslo.html").status_code == 405
    assert sum(file.stat().st_size for file in (CONTENT / "site").iterdir()) < 10_000


@pytest.mark.parametrize("name", ["rome.html", "..%2Ffetch_pages.py", "%2e%2e", "oslo", ".html", "x" * 300])
def test_the_demo_site_has_no_other_pages(client, name):
    assert client.get(f"/demo/{name}").status_code == 404


def run_script(name: str, folder: Path, url: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "PYSCHED_INPUT": str(CONTENT / "pages.csv"),
        "PYSCHED_PARAMETERS": '{"pause_seconds": 0}',
        "PYSCHED_URL": url,
    }
    command = [sys.executable, "-I", CONTENT / name]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("django_db_setup")
def test_the_demo_scripts_make_a_report_of_the_bundled_site(live_server, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    printed = [run_script(script.file, folder, live_server.url) for script in SCRIPTS]
    assert "[5/5] Singapore" in printed[0]
    assert len(json.loads((folder / "pages.json").read_text())) == 5
    with open(folder / "weather.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 35
    assert {row["city"] for row in rows} == {"Oslo", "Lisbon", "Cairo", "Reykjavík", "Singapore"}
    assert all(float(row["low"]) < float(row["high"]) for row in rows)
    picture = ElementTree.parse(folder / "temperatures.svg").getroot()
    assert len(picture.findall("{http://www.w3.org/2000/svg}polyline")) == 5
    assert "Singapore" in (folder / "report.html").read_text(encoding="utf-8")
