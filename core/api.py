"""What all resources of the REST API share: errors in one shape, lists paged by cursor."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import IntegrityError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from core.errors import CODES, LOG_IN, MOST_FAULTS, DomainError, InvalidInput, TooOften, error_body
from core.paging import DEFAULT_LIMIT, MAX_LIMIT, Cursor, Page, Part, cut, page_of
from core.text import natural

logger = logging.getLogger(__name__)


def answer_error(error: Exception, context: dict[str, Any]) -> Response:
    """Every refusal as `{"error": {code, message, fields}}` with the fitting status."""
    if isinstance(error, DomainError):
        later = {"Retry-After": str(error.wait)} if isinstance(error, TooOften) else {}
        return Response(error_body(error.code, error.message, error.fields), status=error.status, headers=later)
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if not isinstance(error, exceptions.APIException):
        return _answer_foreign(error)
    headers = {}
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    fields = dict(islice(_by_field(error.detail), MOST_FAULTS)) if isinstance(error, exceptions.ValidationError) else {}
    message = LOG_IN if isinstance(error, exceptions.NotAuthenticated) else _first_message(fields) if fields else str(error.detail)
    return Response(error_body(CODES.get(error.status_code, "error"), message, fields), status=error.status_code, headers=headers)


def _answer_foreign(error: Exception) -> Response:
    """What neither the domain nor the API's framework raised."""
    if isinstance(error, RequestDataTooBig):
        return Response(error_body("too_large", "What was sent is too large."), status=413)
    if isinstance(error, SuspiciousOperation):
        return Response(error_body("invalid", str(error) or "The request cannot be read."), status=400)
    if isinstance(error, IntegrityError):
        # What was checked has changed until it was written: somebody else was at it in the same moment.
        logger.warning("A change did not fit the database any more.", exc_info=error)
        return Response(error_body("conflict", "Someone else changed this just now; reload and try again."), status=409)
    logger.error("A call of the API failed.", exc_info=error)
    return Response(error_body("server_error", "Something went wrong; the details are in the server log."), status=500)


def _by_field(detail: Any, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """DRF's nested details by flat names: `steps.1.thread` for the thread of the second step."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _by_field(inner, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(detail, list) and any(isinstance(inner, (dict, list)) for inner in detail):
        for position, inner in enumerate(detail):
            if inner:
                yield from _by_field(inner, f"{prefix}.{position}")
    else:
        yield prefix or "non_field_errors", [str(message) for message in (detail if isinstance(detail, list) else [detail])]


def _first_message(fields: dict[str, list[str]]) -> str:
    name, messages = next(iter(fields.items()))
    return messages[0] if name == "non_field_errors" else f"{name}: {messages[0]}"


class CursorPages(BasePagination):
    """`{"results": […], "next": URL|null, "previous": URL|null}`, newest first, `?limit=` up to 200."""

    # Of which parts the rows are made, when that is quicker (`core.paging.by_id`).
    parts: Sequence[Part] = ()
    page: Page[Any]
    # What each of a page's rows weighs, and how much a page may; it ends early when its rows weigh more.
    weigh: Callable[[Sequence[Any]], Sequence[int]] | None = None
    most_weight = 0

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        self.request = request
        cursor = Cursor.parse(request.query_params.get("cursor", ""))
        self.page = page_of(queryset, cursor, self._limit(request), self.parts)
        if self.weigh and self.page.rows:
            self.page = cut(self.page, cursor, self.weigh(self.page.rows), self.most_weight)
        return list(self.page.rows)

    def get_paginated_response(self, data: Sequence[Any]) -> Response:
        return Response({"results": data, "next": self._link(self.page.next), "previous": self._link(self.page.previous)})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["results", "next", "previous"],
            "properties": {"results": schema, "next": link, "previous": link},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {"name": "cursor", "in": "query", "schema": {"type": "string"}, "description": "From `next` or `previous`."},
            {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}},
        ]

    def _limit(self, request: Request) -> int:
        limit = natural(request.query_params.get("limit", str(DEFAULT_LIMIT)))
        if limit is None or not 1 <= limit <= MAX_LIMIT:
            raise InvalidInput.of("limit", f"Use a whole number from 1 to {MAX_LIMIT}.")
        return limit

    def _link(self, cursor: Cursor | None) -> str | None:
        return replace_query_param(self.request.build_absolute_uri(), "cursor", str(cursor)) if cursor else None
