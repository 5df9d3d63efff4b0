"""Why a step failed, gathered from its log, its spec and its version. Only those that failed pay for it."""

from dataclasses import replace
from typing import Any

from core import layout
from engine.host import records
from engine.outcome import outcome_of
from history import logs
from history.failures import Script, explain
from history.ledger import StepEnd
from history.models import StepRun
from history.status import BROKEN
from history.tracebacks import find_crash
from threads.models import ThreadVersion

# Enough for the deepest recursion's traceback.
TAIL_BYTES = 256 * 1024
MAX_LINE = 300


def end_of(step: StepRun, record: dict[str, Any]) -> StepEnd:
    """The end that this exit record tells of, with its failure when it is one."""
    # Of what the platform itself ended the log does not say why.
    ended_badly = record.get("cause") == "" and record.get("exit_code") != 0
    return _end(step, record, _last_words(step), _script(step)) if ended_badly else bare_end_of(step, record)


def bare_end_of(step: StepRun, record: dict[str, Any]) -> StepEnd:
    """The end by its record alone, without what the log and the version have to say."""
    return _end(step, record, "", Script())


def _end(step: StepRun, record: dict[str, Any], log: str, script: Script) -> StepEnd:
    crash = find_crash(log)
    said = crash.line[:MAX_LINE] if crash else ""
    end = outcome_of(record, timeout_seconds=step.timeout_seconds, stopped_by=step.run.stop_requested_by, last_line=said)
    return (
        replace(end, failure=explain(record, log=log, script=script, has_network=step.network).as_record()) if end.status in BROKEN else end
    )


def _last_words(step: StepRun) -> str:
    """The end of the log as far as this step wrote it, without the prefix that tells it from those beside it."""
    start = max(0, logs.size(step.run) - TAIL_BYTES)
    log = logs.read(step.run, start, TAIL_BYTES).decode(errors="replace")
    spec = records.read(str(layout.step_folder(step.run_id, step.position, step.attempt) / records.SPEC)) or {}
    heading, prefix = spec.get("log_heading"), spec.get("log_prefix")
    if heading:
        log = log.rpartition(heading)[2]
    if prefix:
        log = "\n".join(line[len(prefix) :] for line in log.split("\n") if line.startswith(prefix))
    return log


def _script(step: StepRun) -> Script:
    """What belongs to the step's version."""
    if step.version_id is None:
        return Script()
    rows = list(ThreadVersion.objects.filter(pk=step.version_id).values_list("filename", "files__path"))
    names = {name for row in rows for name in row if name}
    return Script(str(layout.code_folder(step.version_id)), names)
