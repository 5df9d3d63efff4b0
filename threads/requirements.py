"""Verbs about what a thread needs: build its environment again, add a package to it."""

from django.db import transaction

from accounts.access import require
from accounts.models import User
from accounts.roles import Role
from accounts.services import record
from core.errors import Conflict, InvalidInput, NotFound
from environments.models import EnvironmentBuild
from environments.packages import package_for
from environments.wishes import clean_requirements, name_of
from threads.building import settle_environment
from threads.models import Thread
from threads.services import change_thread


def rebuild_environment(*, thread: Thread, user: User) -> EnvironmentBuild:
    """Resolve again and build: newer versions are found. What the thread has stays in use until then.

    Conflict when the thread asks for nothing; one build of a wish is under way at a time.
    """
    require(user, thread.team, Role.EDITOR)
    with transaction.atomic():
        rows = Thread.objects.select_related("team", "current_version").select_for_update(of=("self",), no_key=True)
        row = rows.filter(pk=thread.pk).first()
        if row is None:
            raise NotFound
        build = settle_environment(row, user=user, again=True)
        if build is None:
            raise Conflict(f"{thread.name} runs with the platform's own Python; give it requirements or a Python version first.")
        record(user=user, verb="rebuilt environment of", target=row)
    return build


def add_requirement(*, thread: Thread, package: str, user: User) -> Thread:
    """The package among the thread's requirements, and with that its environment built anew.

    `package` may be what an import is called: `yaml` adds PyYAML. Conflict when it is there already.
    """
    require(user, thread.team, Role.EDITOR)
    wanted = package_for(package.strip())
    if not name_of(clean_requirements(wanted)):
        raise InvalidInput.of("package", "Name a package, such as requests.")
    there = {name_of(line) for line in clean_requirements(thread.requirements).splitlines()}
    if name_of(wanted) in there:
        raise Conflict(f"{wanted} is among the requirements of {thread.name} already; rebuild its environment instead.")
    text = f"{thread.requirements.rstrip()}\n{wanted}".strip()
    return change_thread(thread=thread, user=user, requirements=text)
