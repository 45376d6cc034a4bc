"""`not_before` of a stage: the time before which the stage does not begin."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import PlainSerializer, PlainValidator

from reconciler.rollout_file.characters import quoted
from reconciler.rollout_file.value_types import Written, refused, wrong_type
from reconciler.rollout_file.zones import (
    CLOCK_PATTERN,
    DATE_PATTERN,
    format_wall_time,
    parse_wall_time,
)

_OFFSET_PATTERN: Final = "Z|[+-][0-9]{2}:[0-5][0-9]"
_PATTERN: Final = f"{DATE_PATTERN}[ T]{CLOCK_PATTERN}(?:{_OFFSET_PATTERN})?"
_HINT: Final = "a day and a time, 2027-01-11 09:00, in UTC or with an offset such as +01:00"


def parse_start_time(text: str) -> datetime:
    """Return the time of a text: with an offset if it has one, else without a zone.

    Raises:
        ValueError: the text is not such a time; the message has a correct example.
    """
    if not re.fullmatch(_PATTERN, text):
        raise ValueError(f"{quoted(text)} is not a time; write {_HINT}")
    wall_time = parse_wall_time(text[:16])
    if not text[16:]:
        return wall_time
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text} is on no calendar or clock; write {_HINT}") from error


def format_start_time(value: datetime) -> str:
    """Return a time as the file writes it; one with an offset is written in UTC."""
    if value.tzinfo is None:
        return format_wall_time(value)
    return f"{format_wall_time(value.astimezone(UTC))}Z"


def _start_time(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise wrong_type(_HINT)
    try:
        return parse_start_time(value)
    except ValueError as error:
        raise refused(str(error)) from error


StartTime = Annotated[
    datetime,
    PlainValidator(_start_time),
    PlainSerializer(format_start_time, return_type=str, when_used="json"),
    Written(_PATTERN),
]
