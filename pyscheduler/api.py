"""The one router of the REST API, `/api/v1/`: which address is answered by what."""

from django.urls import URLPattern, path, re_path
from rest_framework.views import APIView

import accounts.openapi  # noqa: F401 - registers how the schema names our log-ins
from accounts import api as accounts_api
from environments import api as environments_api
from history import api as history_api
from history import triggers
from history.summaries import of_targets
from operations import api as operations_api
from processes import api as processes_api
from pyscheduler import docs
from schedules import api as schedules_api
from threads import api as threads_api
from threads import environment_api, variable_api


def _at(route: str, view: type[APIView], **options: object) -> URLPattern:
    return path(route, view.as_view(**options))


urlpatterns = [
    _at("health", operations_api.Health),
    _at("isolation", operations_api.Isolation),
    _at("maintenance", operations_api.Maintenance),
    _at("version", operations_api.Version),
    _at("stats", operations_api.Stats),
    _at("schema", docs.Schema),
    _at("docs", docs.Docs),
    _at("auth/login", accounts_api.Login),
    _at("auth/logout", accounts_api.Logout),
    _at("teams", accounts_api.Teams),
    _at("teams/<int:pk>", accounts_api.OneTeam),
    _at("members", accounts_api.Members),
    _at("members/<int:pk>", accounts_api.OneMember),
    _at("api-keys", accounts_api.Keys),
    _at("api-keys/<int:pk>", accounts_api.OneKey),
    _at("audit", accounts_api.Audit),
    _at("folders", threads_api.Folders),
    _at("folders/<int:pk>", threads_api.OneFolder),
    _at("threads", threads_api.Threads, summaries=of_targets),
    _at("threads/<int:pk>", threads_api.OneThread, summaries=of_targets),
    _at("threads/<int:pk>/run", triggers.RunThread),
    _at("threads/<slug:safe_name>/trigger", triggers.TriggerThread),
    _at("threads/<int:pk>/draft", threads_api.Draft),
    _at("threads/<int:pk>/publish", threads_api.Publish),
    _at("threads/<int:pk>/versions", threads_api.Versions),
    _at("threads/<int:pk>/versions/<int:number>", threads_api.OneVersion),
    _at("threads/<int:pk>/versions/<int:number>/restore", threads_api.Restore),
    _at("threads/<int:pk>/environment", environment_api.ThreadEnvironment),
    _at("threads/<int:pk>/environment/rebuild", environment_api.RebuildEnvironment),
    _at("environments", environments_api.Environments),
    _at("environments/<int:pk>", environments_api.OneEnvironment),
    _at("variables", variable_api.Variables),
    _at("variables/<int:pk>", variable_api.OneVariable),
    _at("processes", processes_api.Processes, summaries=of_targets),
    _at("processes/<int:pk>", processes_api.OneProcess, summaries=of_targets),
    _at("processes/<int:pk>/run", triggers.RunProcess),
    _at("processes/<slug:safe_name>/trigger", triggers.TriggerProcess),
    _at("schedules", schedules_api.Schedules),
    _at("schedules/status", schedules_api.Status),
    _at("schedules/preview", schedules_api.Preview),
    _at("schedules/stop", schedules_api.Stop),
    _at("schedules/start", schedules_api.Start),
    _at("schedules/templates", schedules_api.Templates),
    _at("schedules/<int:pk>", schedules_api.OneSchedule),
    _at("schedules/<int:pk>/toggle", schedules_api.Toggle),
    _at("schedules/<int:pk>/clone", schedules_api.Clone),
    _at("schedules/<int:pk>/skip-next", schedules_api.SkipNext),
    _at("schedules/<int:pk>/pauses", schedules_api.Pauses),
    _at("schedules/<int:pk>/pauses/<int:pause>", schedules_api.OnePause),
    _at("schedules/<int:pk>/run", schedules_api.RunNow),
    _at("schedules/<int:pk>/runs", schedules_api.RunsOfSchedule),
    _at("runs", history_api.Runs),
    _at("runs/<int:pk>", history_api.OneRun),
    _at("runs/<int:pk>/changes", history_api.Changes),
    _at("runs/<int:pk>/stop", history_api.Stop),
    _at("runs/<int:pk>/retry", history_api.Retry),
    _at("runs/<int:pk>/resources", history_api.Resources),
    _at("runs/<int:pk>/pause", history_api.Pause),
    _at("runs/<int:pk>/resume", history_api.Resume),
    _at("runs/<int:pk>/log", history_api.Log),
    _at("runs/<int:pk>/files", history_api.Files),
    _at("runs/<int:pk>/files/<path:path>", history_api.OneFile),
    re_path("", docs.NoSuchCall.as_view()),
]
