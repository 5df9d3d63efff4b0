"""What can go wrong in the domain. Raised inside, translated once at the edge: page, API, command."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

# What a refusal's status is called in the bodies of the API.
CODES = {400: "invalid", 401: "not_authenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
         406: "not_acceptable", 408: "too_slow", 409: "conflict", 413: "too_large", 415: "unsupported_type",
         429: "throttled", 503: "busy"}  # fmt: skip

LOG_IN = "Log in, or send a key as `Authorization: Bearer KEY`."

# Of more faults nobody reads; and a name or a word that was sent is not sent back at any length.
MOST_FAULTS = 20
MOST_NAME = 200
MOST_MESSAGE = 1000


def error_body(code: str, message: str, fields: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    """The one shape of all the API's refusals; it names the first `MOST_FAULTS` fields."""
    shown = {
        name[:MOST_NAME]: [text[:MOST_MESSAGE] for text in messages[:MOST_FAULTS]]
        for name, messages in islice((fields or {}).items(), MOST_FAULTS)
    }
    return {"error": {"code": code, "message": message[:MOST_MESSAGE], "fields": shown}}


class DomainError(Exception):
    """The request could not be carried out."""

    status = 400
    code = "invalid"

    def __init__(self, message: str | None = None, *, fields: Mapping[str, Sequence[str]] | None = None) -> None:
        self.message = message or self.__doc__ or ""
        self.fields = {name: list(messages) for name, messages in (fields or {}).items()}
        super().__init__(self.message)


class InvalidInput(DomainError):
    """Some of what was sent cannot be used."""

    @classmethod
    def of(cls, field: str, message: str) -> "InvalidInput":
        """One message about one field."""
        return cls(message, fields={field: [message]})


class Forbidden(DomainError):
    """Your role in this team does not allow that."""

    status = 403
    code = "forbidden"


class NotFound(DomainError):
    """Not found, or you have no access to it."""

    status = 404
    code = "not_found"


class Conflict(DomainError):
    """That conflicts with the current state."""

    status = 409
    code = "conflict"


class TooLarge(InvalidInput):
    """What was sent is too large."""

    status = 413
    code = "too_large"


class UnsupportedType(InvalidInput):
    """This kind of file is not accepted."""

    status = 415
    code = "unsupported_type"


class TooOften(DomainError):
    """That came too often. `wait`: in how many seconds it may come again."""

    status = 429
    code = "throttled"

    def __init__(self, message: str, wait: int) -> None:
        super().__init__(message)
        self.wait = wait
