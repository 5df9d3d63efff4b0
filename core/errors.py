"""What can go wrong in the domain. Raised inside, translated once at the edge: page, API, command."""

from collections.abc import Mapping, Sequence


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
    """There is nothing here, or it is not yours to see."""

    status = 404
    code = "not_found"


class Conflict(DomainError):
    """That does not fit what is there now."""

    status = 409
    code = "conflict"


class TooLarge(InvalidInput):
    """What was sent is too large."""

    status = 413
    code = "too_large"


class UnsupportedType(InvalidInput):
    """This kind of file is not taken here."""

    status = 415
    code = "unsupported_type"
