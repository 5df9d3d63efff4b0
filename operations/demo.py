"""Demo content: three threads, a process of them and a schedule, which run without the internet."""

from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from accounts.models import Team, User
from operations.models import Milestone
from processes.models import Process
from processes.services import StepPlan, create_process
from schedules.services import create_schedule
from threads.models import Folder, Thread, ThreadType
from threads.services import create_folder, create_thread
from threads.uploads import Upload

CONTENT = Path(__file__).with_name("democontent")
MADE = "demo content"


@dataclass(frozen=True, slots=True)
class Script:
    """A bundled script and what its thread is called."""

    file: str
    name: str
    type: ThreadType
    description: str
    input: str | None = None

    def upload(self) -> Upload:
        return Upload(self.file, (CONTENT / self.file).read_bytes())

    def input_upload(self) -> Upload | None:
        return Upload(self.input, (CONTENT / self.input).read_bytes()) if self.input else None


SCRIPTS = (
    Script(
        "fetch_pages.py",
        "Fetch weather pages",
        ThreadType.SCRAPING,
        "Fetches from the demo site what its CSV names.",
        "pages.csv",
    ),
    Script("build_table.py", "Build weather table", ThreadType.DATA, "Turns the fetched pages into weather.csv."),
    Script("write_report.py", "Write weather report", ThreadType.DATA, "Writes report.html with a picture of the table."),
)


@transaction.atomic
def ensure_demo() -> bool:
    """Make the demo content once in an installation's life; False when that was done, or there is nobody to own it.

    The scripts find the demo site by PYSCHED_URL, which each run gets, so the content fits any address and port.
    """
    user = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    team = Team.objects.order_by("pk").first()
    if user is None or team is None:
        return False
    _, is_first = Milestone.objects.get_or_create(name=MADE)
    if is_first:
        _make(team, user)
    return is_first


def _make(team: Team, user: User) -> None:
    folder = create_folder(team=team, user=user, name="Demo")
    threads = [_thread(team, user, folder, script) for script in SCRIPTS]
    process = _process(team, user, threads)
    create_schedule(team=team, user=user, name="Demo report every morning", target=process, kind="cron", cron="0 7 * * *")


def _thread(team: Team, user: User, folder: Folder, script: Script) -> Thread:
    return create_thread(
        team=team,
        user=user,
        folder=folder,
        name=script.name,
        type=script.type,
        description=script.description,
        script=script.upload(),
        input_file=script.input_upload(),
    )


def _process(team: Team, user: User, threads: list[Thread]) -> Process:
    steps = [StepPlan(thread=thread, stage=stage) for stage, thread in enumerate(threads, start=1)]
    description = "Fetches a few pages, makes a table of them and writes a report. Run it and watch."
    return create_process(team=team, user=user, name="Demo report", description=description, steps=steps)
