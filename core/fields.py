"""Fields of the API's bodies and answers that several resources have."""

from datetime import datetime
from typing import Any

from rest_framework import serializers

from core.errors import InvalidInput
from core.parameters import check_parameters

MAX_ID = 2**63 - 1


class Text(serializers.CharField):
    """Text, and only text: a number sent for a name is somebody's mistake. White space is kept."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False} | options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A whole number that fits every column; `true` is none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": -MAX_ID, "max_value": MAX_ID} | options)

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, (bool, float)) and not (isinstance(data, float) and data.is_integer()):
            self.fail("invalid")
        return super().to_internal_value(data)


class Id(Whole):
    """The id of something."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 1} | options)


class Moment(serializers.DateTimeField):
    """A time with its offset: without one nobody can say which time is meant."""

    def enforce_timezone(self, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise serializers.ValidationError("Give the time with its offset, such as 2026-03-29T07:00:00+02:00.")
        return super().enforce_timezone(value)


class Several(serializers.ListField):
    """A list. One that is longer than `max_length` is refused before any of its items is looked at."""

    def to_internal_value(self, data: Any) -> Any:
        if self.max_length is not None and isinstance(data, list) and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)


class Parameters(serializers.JSONField):
    """Names with values of JSON."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        try:
            return check_parameters(data)
        except InvalidInput as error:
            raise serializers.ValidationError(error.message) from None
