"""What every call of the REST API is made of: strict bodies and query strings, a description, an answer.

    class Threads(Endpoint):
        @call("List threads", query=ThreadFilters, answer=ThreadShape, many=True)
        def get(self, request: Request) -> Response: ...

What a caller sends and nobody reads is refused by name, so that a typing error is an error and not silence.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import IO, Any, ClassVar

from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser, FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api import CursorPages
from core.errors import MOST_FAULTS, InvalidInput, TooLarge
from core.paging import Part
from core.plain import first_fault

# A script of the largest size, each of its characters escaped as six, and room for the rest.
MAX_JSON_BYTES = 8 * 1024 * 1024
# The largest process, of 100 steps with 50 parameters each, three times over.
MAX_JSON_VALUES = 20_000
_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


class CleanJSON(BaseParser):
    """JSON that every part of the platform can keep; see `core.plain`."""

    media_type = "application/json"
    most_bytes = MAX_JSON_BYTES

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        body = stream.read(self.most_bytes + 1)
        if len(body) > self.most_bytes:
            raise TooLarge(f"The body has more than {self.most_bytes:,} bytes.")
        if _most_values(body) > MAX_JSON_VALUES:
            raise TooLarge(f"The body has more than {MAX_JSON_VALUES:,} values.")
        try:
            data = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
        except UnicodeDecodeError:
            raise InvalidInput("The body is not UTF-8.") from None
        except RecursionError:
            raise InvalidInput("The body is nested too deeply.") from None
        except ValueError as error:
            raise InvalidInput(f"The body is not JSON: {error}.") from None
        if fault := first_fault(data):
            raise InvalidInput.of(fault[0].encode(errors="replace").decode() or "non_field_errors", fault[1])
        return data


class SmallJSON(CleanJSON):
    """JSON of callers that nobody knows yet."""

    most_bytes = 16 * 1024


def _most_values(body: bytes) -> int:
    """More values than this the JSON cannot have; known before any is made, for a byte of it may become a hundred."""
    if (count := _beginnings(body)) <= MAX_JSON_VALUES:
        return count
    # What a text says begins no value. Each has two quotes, of which the first at least follows no backslash.
    texts = body.count(b'"') - body.count(b'\\"')
    return texts if texts > 4 * MAX_JSON_VALUES else _beginnings(_TEXTS.sub(b"", body))


def _beginnings(body: bytes) -> int:
    return 1 + sum(body.count(mark) for mark in (b",", b"[", b"{"))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


class Strict(serializers.Serializer[Any]):
    """A body or query string of which every name is known."""

    # Fields of the answer that cannot be set. A PUT may send them back, as it was given them.
    read_only_names: ClassVar[frozenset[str]] = frozenset()

    def to_internal_value(self, data: Any) -> Any:
        faults: dict[str, Any] = {}
        if isinstance(data, Mapping):
            unknown = (name for name in data if name not in self.fields and not self._sent_back(name))
            faults = {name: [self._unknown(name)] for name in islice(unknown, MOST_FAULTS)}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            assert isinstance(error.detail, dict)
            faults = error.detail | faults
        if faults:
            raise serializers.ValidationError(faults)
        return value

    def _sent_back(self, name: str) -> bool:
        return name in self.read_only_names and bool(self.context.get("whole"))

    def _unknown(self, name: str) -> str:
        return "This field is read-only." if name in self.read_only_names else "There is no such field."


class Nothing(Strict):
    """Takes no fields."""


class PageQuery(Strict):
    """Query of a list; `cursor` and `limit` are read by the pager."""

    cursor = serializers.CharField(required=False, allow_blank=True)
    limit = serializers.CharField(required=False, allow_blank=True)


class ErrorDetail(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    fields = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))  # type: ignore[assignment]


class ErrorShape(serializers.Serializer[Any]):
    error = ErrorDetail()


# Which refusals a call may meet: a read or a plain change, one that may not fit what is there, one that takes files.
USUAL = (400, 401, 403, 404, 429)
WITH_CONFLICT = (400, 401, 403, 404, 409, 429)
WITH_FILES = (400, 401, 403, 404, 409, 413, 415, 429)

REFUSALS = {
    400: "Something that was sent cannot be used; `fields` says what.",
    401: "No key and no session, or one that is not known.",
    403: "The role in this team, or the key's scopes, do not allow it.",
    404: "Not found, or you have no access to it.",
    409: "It conflicts with the current state.",
    413: "What was sent is too large.",
    415: "This kind of content, or of file, is not accepted.",
    429: "Too many requests; `Retry-After` says when to come back.",
}


def call(
    summary: str,
    *,
    query: type[Strict] | None = None,
    body: type[Strict] | dict[str, type[Strict]] | None = None,
    answer: type[serializers.Serializer[Any]] | OpenApiTypes | tuple[OpenApiTypes, str] | None = None,
    status: int = 200,
    many: bool = False,
    also: dict[int, Any] | None = None,
    refusals: tuple[int, ...] = USUAL,
    description: str = "",
    **more: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Describe one call for the schema, and say which query it takes: none unless `query` does or the answer is a list.

    `answer` may be (type, media type) for what is no JSON; `also` are further answers by status.
    """
    key: Any = (status, answer[1]) if isinstance(answer, tuple) else status
    found: Any = answer[0] if isinstance(answer, tuple) else answer
    if many:
        assert isinstance(found, type)
        found = found(many=True)
    answers: dict[Any, Any] = {key: found or OpenApiResponse(description="Done; no content.")} | (also or {})
    answers |= {number: OpenApiResponse(ErrorShape, description=REFUSALS[number]) for number in refusals}
    known = query or (PageQuery if many else Nothing)
    # The pager describes its own two parameters.
    bodies = {"application/json": body} if isinstance(body, type) else body
    shown = [known] if query and set(known._declared_fields) - {"cursor", "limit"} else []

    def describe(method: Callable[..., Any]) -> Callable[..., Any]:
        method.query_class = known  # type: ignore[attr-defined]
        words = description or inspect.cleandoc(method.__doc__ or summary)
        described: Callable[..., Any] = extend_schema(
            summary=summary, description=words, request=bodies, responses=answers, parameters=shown, **more
        )(method)
        return described

    return describe


class OneForm(DefaultContentNegotiation):
    """What comes is said by the call, not by `Accept`: nobody is refused his JSON, or a log's text, for having asked for HTML."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class Endpoint(APIView):
    """One address of the API. `query` is its checked query string."""

    content_negotiation_class = OneForm
    pagination_class: ClassVar[type[CursorPages]] = CursorPages
    # Forms for callers that have no JSON at hand: each field is a text.
    parser_classes = [CleanJSON, FormParser, MultiPartParser]
    query: dict[str, Any]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        handler = getattr(self, (request.method or "").lower(), None)
        if query_class := getattr(handler, "query_class", None):
            self.query = _checked(query_class(data=_plain(request.query_params, query_class)))

    def body(self, shape: type[Strict], *, partial: bool = False) -> dict[str, Any]:
        """The request's body as `shape` says; InvalidInput by field. PUT may send read-only fields back."""
        data = self.request.data
        if isinstance(data, QueryDict):
            data = _plain(data, shape)
        return _checked(shape(data=data, partial=partial, context={"whole": self.request.method == "PUT"}))

    @staticmethod
    def made(data: Any, path: str, status: int = 201) -> Response:
        """The answer that something is made; it lies at `path` below the API's root."""
        return Response(data, status=status, headers={"Location": f"/api/v1/{path}"})

    def paged(self, rows: "QuerySet[Any]", shape: Callable[[list[Any]], Any], parts: Sequence[Part] = ()) -> Response:
        """One page of `rows`, each in `shape`: a function of the page's rows. For `parts` see `core.paging.by_id`."""
        pager = self.pagination_class()
        pager.parts = parts
        found = pager.paginate_queryset(rows, self.request, self)
        return pager.get_paginated_response(shape(found))


def _checked(serializer: Strict) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _plain(data: QueryDict, shape: type[Strict]) -> dict[str, Any]:
    """A form's or query's values as JSON would hold them: text or file for a name, a list where one is asked for.

    DRF reads forms by the rules of HTML, where a flag that is not there is false; nobody here sends check boxes.
    """
    plain: dict[str, Any] = {}
    for name, values in data.lists():
        given = [_text_of(name, value) for value in values]
        wants_list = isinstance(shape._declared_fields.get(name), (serializers.ListField, serializers.MultipleChoiceField))
        plain[name] = given if wants_list or len(given) > 1 else given[0]
    return plain


def _text_of(name: str, value: Any) -> Any:
    if isinstance(value, UploadedFile):
        return value
    if fault := first_fault(value, name) or first_fault(name, name):
        raise InvalidInput.of(name.encode(errors="replace").decode(), fault[1])
    return value
