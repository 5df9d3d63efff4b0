"""The event streams in the API's description: they are answered outside Django (`pyscheduler.web.live`), where no generator looks."""

from typing import Any

from core.endpoint import REFUSALS

PUBLISHED = """Server-sent events, as they happen, of all you may see: `run`, `schedule`, `thread`, `process`, `environment` and
`maintenance`, each with its JSON.
Each has an id; who comes back with `Last-Event-ID` is told what was missed, or by `resync` to read anew. After 15 silent seconds comes
a comment."""
ONE_RUN = """Server-sent events of one run, from its present state to its end: `run`, `progress`, and its whole log as `log` with
`text`, `offset` and `next` (bytes). After the last of them comes `end`, and the stream closes. `Last-Event-ID` resumes it."""
REFUSED = (400, 401, 403, 404, 429)
BUSY = "Too many streams are open; `Retry-After` says when to come back."


def describe(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A hook of drf-spectacular: the schema with the streams in it, in the order of the paths."""
    run = {"in": "path", "name": "id", "schema": {"type": "integer"}, "required": True}
    resumed = {
        "in": "header",
        "name": "Last-Event-ID",
        "schema": {"type": "string"},
        "description": "The id of the last event that was received.",
    }
    cursor = {
        "in": "query",
        "name": "cursor",
        "schema": {"type": "integer", "minimum": 0},
        "description": "From after this event on; the header wins.",
    }
    offset = {
        "in": "query",
        "name": "offset",
        "schema": {"type": "integer", "minimum": 0},
        "description": "The log from this byte on; the header wins.",
    }
    # All calls but those that are open to all ask for the same.
    security = result["paths"]["/api/v1/runs"]["get"]["security"]
    streams = {
        "/api/v1/events": _stream("events_stream", "Follow all events", PUBLISHED, [cursor, resumed], "events", security),
        "/api/v1/runs/{id}/events": _stream("runs_events_stream", "Follow a run", ONE_RUN, [run, offset, resumed], "runs", security),
    }
    result["paths"] = dict(sorted((result["paths"] | {path: {"get": call} for path, call in streams.items()}).items()))
    return result


def _stream(name: str, summary: str, words: str, parameters: list[dict[str, Any]], tag: str, security: Any) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorShape"}}}
    answers: dict[str, Any] = {"200": {"description": "", "content": {"text/event-stream": {"schema": {"type": "string"}}}}}
    answers |= {str(status): {"description": REFUSALS[status], "content": error} for status in REFUSED}
    answers["503"] = {"description": BUSY, "content": error}
    return {
        "operationId": name,
        "summary": summary,
        "description": words,
        "parameters": parameters,
        "tags": [tag],
        "security": security,
        "responses": answers,
    }
