"""Health, version and figures over the API."""

import platform
from typing import Any

import django
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from core.endpoint import Endpoint, Strict, call
from core.fields import Text
from engine.findings import Report
from history import draining
from history.models import Drain
from history.overview import run_figures
from history.status import Status
from operations import isolation
from operations.forms import MOST_REASON
from operations.health import DEGRADED, DOWN, OK, recent_health
from operations.version import API_VERSION, version
from processes.models import Process
from schedules.models import Schedule
from threads.models import Thread

STATES = [(state, state) for state in (OK, DEGRADED, DOWN)]


class ChecksShape(serializers.Serializer[Any]):
    database = serializers.ChoiceField(choices=STATES)
    scheduler = serializers.ChoiceField(choices=STATES)
    workers = serializers.ChoiceField(choices=STATES)
    queue = serializers.ChoiceField(choices=STATES)
    disk = serializers.ChoiceField(choices=STATES)
    isolation = serializers.ChoiceField(choices=STATES)


class HealthShape(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=STATES)
    checks = ChecksShape()


class Health(Endpoint):
    """Open to all, so it says no more than the states."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []

    @call("Health", answer=HealthShape, also={503: HealthShape}, refusals=(400,), auth=[])
    def get(self, request: Request) -> Response:
        """`ok`; `degraded`: it answers, but something does not work; `down` (503): the database does not answer."""
        now = recent_health()
        states = {name: check.state for name, check in now.checks.items()}
        return Response({"status": now.status, "checks": states}, status=503 if now.status == DOWN else 200)


class LevelShape(serializers.Serializer[Any]):
    name = serializers.CharField()
    tried = serializers.BooleanField(help_text="False below the level in force, and before the first run.")
    holds = serializers.BooleanField()
    reason = serializers.CharField(help_text="Why it does not hold.")
    remedy = serializers.CharField(help_text="What to do about that, where it is known.")
    gaps = serializers.ListField(child=serializers.CharField(), help_text="What it leaves open.")
    reached = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="What a script tried and could do; null when none could be tried."
    )


class HostShape(serializers.Serializer[Any]):
    host = serializers.CharField(source="host.key")
    seen_at = serializers.DateTimeField(source="host.seen_at")
    level = serializers.CharField(help_text="The level in force; of other hosts the one at which a script ran last. Empty when not known.")
    reason = serializers.CharField(help_text="Why it is no higher one, and what it leaves open.")
    remedy = serializers.CharField()


class IsolationShape(serializers.Serializer[Any]):
    host = serializers.CharField()
    demanded = serializers.CharField(help_text="`auto`, or the level that the operator demands.")
    least = serializers.CharField(allow_null=True, help_text="Runs below this level are refused.")
    level = serializers.CharField(allow_null=True, help_text="The level in force.")
    checked_at = serializers.DateTimeField(allow_null=True)
    levels = LevelShape(many=True)
    hosts = HostShape(many=True)


class Isolation(Endpoint):
    """For operators: how far this host can keep scripts from the rest."""

    @call("Which isolation is in force, and why?", answer=IsolationShape, refusals=(401, 403, 429))
    def get(self, request: Request) -> Response:
        return Response(_isolation(isolation.isolation_report(user=caller(request))))

    @call("Try the levels of isolation now", answer=IsolationShape, refusals=(400, 401, 403, 429))
    def post(self, request: Request) -> Response:
        """A script really tries to escape at each level, from the highest down to the first that holds. Takes a second or so."""
        return Response(_isolation(isolation.try_isolation(user=caller(request))))


def _isolation(report: Report | None) -> dict[str, Any]:
    return isolation.summary(report) | {"hosts": HostShape(isolation.levels_of_hosts(report), many=True).data}


class MaintenanceShape(serializers.Serializer[Any]):
    active = serializers.BooleanField()
    reason = serializers.CharField()
    by = serializers.CharField(help_text="Empty when it was begun by command, or there is none.")
    since = serializers.DateTimeField(allow_null=True)


class MaintenanceBody(Strict):
    reason = Text(required=False, allow_blank=True, max_length=MOST_REASON, help_text="What people are told who wait.")


class Maintenance(Endpoint):
    """No run starts while it lasts; those that run go on to their end."""

    @call("Is there maintenance?", answer=MaintenanceShape, refusals=(401, 429))
    def get(self, request: Request) -> Response:
        return Response(_maintenance(draining.current()))

    @call("Begin maintenance", body=MaintenanceBody, answer=MaintenanceShape, refusals=(400, 401, 403, 429))
    def post(self, request: Request) -> Response:
        """For operators. Doing it again changes the reason."""
        given = self.body(MaintenanceBody)
        return Response(_maintenance(draining.begin_drain(user=caller(request), reason=given.get("reason", ""))))

    @call("End maintenance", status=204, refusals=(401, 403, 429))
    def delete(self, request: Request) -> Response:
        """For operators. Waiting runs start again; nothing happens when there is none."""
        draining.end_drain(user=caller(request))
        return Response(status=204)


def _maintenance(drain: Drain | None) -> dict[str, Any]:
    if drain is None:
        return {"active": False, "reason": "", "by": "", "since": None}
    return {"active": True, "reason": drain.reason, "by": drain.by, "since": drain.since}


class ReleaseShape(serializers.Serializer[Any]):
    version = serializers.CharField()
    api = serializers.CharField()
    python = serializers.CharField()
    django = serializers.CharField()


class Version(Endpoint):
    @call("Which version runs?", answer=ReleaseShape, refusals=(401, 429))
    def get(self, request: Request) -> Response:
        return Response({"version": version(), "api": API_VERSION, "python": platform.python_version(), "django": django.get_version()})


class LastDayShape(serializers.Serializer[Any]):
    """Runs queued within 24 hours, by status."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {status.value: serializers.IntegerField() for status in Status}


class RunFiguresShape(serializers.Serializer[Any]):
    started = serializers.IntegerField(help_text="All there ever were.")
    running = serializers.IntegerField()
    queued = serializers.IntegerField()
    last_day = LastDayShape()
    success_rate = serializers.FloatField(
        allow_null=True, help_text="Of the last day's, from 0 to 1, without those that were stopped or skipped."
    )


class StatsShape(serializers.Serializer[Any]):
    threads = serializers.IntegerField()
    processes = serializers.IntegerField()
    schedules = serializers.IntegerField()
    schedules_enabled = serializers.IntegerField()
    runs = RunFiguresShape()


class Stats(Endpoint):
    @call("Statistics", answer=StatsShape, refusals=(401, 429))
    def get(self, request: Request) -> Response:
        user = caller(request)
        schedules = Schedule.objects.visible_to(user)
        return Response(
            {
                "threads": Thread.objects.visible_to(user).count(),
                "processes": Process.objects.visible_to(user).count(),
                "schedules": schedules.count(),
                "schedules_enabled": schedules.filter(enabled=True).count(),
                "runs": run_figures(user),
            }
        )
