"""Freezes of the file: the times in which no audience widens, each week or from one day to another."""

import re
from dataclasses import dataclass
from datetime import datetime, time
from typing import Annotated, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
)

from reconciler.rollout_file.characters import quoted
from reconciler.rollout_file.value_types import (
    FeatureReference,
    Text,
    Written,
    refused,
    wrong_type,
)
from reconciler.rollout_file.zones import (
    CLOCK_PATTERN,
    DATE_PATTERN,
    MAX_ZONE_LENGTH,
    UTC_ZONE,
    ZONE_HINT,
    format_wall_time,
    parse_wall_time,
    read_zone,
)

MAX_FREEZE_NAME_LENGTH: Final = 100
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_WEEKLY: Final = re.compile(rf"({'|'.join(WEEKDAYS)}) ({CLOCK_PATTERN})")
_TIME_HINT: Final = "a weekday and a time, fri 16:00, or a day and a time, 2026-12-18 16:00"


@dataclass(frozen=True, slots=True, order=True)
class WeekTime:
    """A time of every week, such as `fri 16:00`."""

    weekday: int
    """0 is Monday."""
    time: time

    def __str__(self) -> str:
        return f"{WEEKDAYS[self.weekday]} {self.time:%H:%M}"


FreezeTime = WeekTime | datetime
"""A time of each week, or one day's; the zone stands beside it."""


def parse_freeze_time(text: str) -> FreezeTime:
    """Return the time of a text such as `fri 16:00` or `2026-12-18 16:00`.

    Raises:
        ValueError: the text is not such a time; the message has a correct example.
    """
    weekly = _WEEKLY.fullmatch(text)
    if weekly is None:
        if not re.fullmatch(f"{DATE_PATTERN}[ T].*", text):
            raise ValueError(f"{quoted(text)} is not a time of a freeze; write {_TIME_HINT}")
        return parse_wall_time(text)
    try:
        clock = time.fromisoformat(weekly[2])
    except ValueError as error:
        raise ValueError(f"{text} is on no clock; write {_TIME_HINT}") from error
    return WeekTime(WEEKDAYS.index(weekly[1]), clock)


def format_freeze_time(value: FreezeTime) -> str:
    """Return a time as the file writes it."""
    return format_wall_time(value) if isinstance(value, datetime) else str(value)


def _freeze_time(value: object) -> FreezeTime:
    if isinstance(value, WeekTime | datetime):
        return value
    if not isinstance(value, str):
        raise wrong_type(_TIME_HINT)
    try:
        return parse_freeze_time(value)
    except ValueError as error:
        raise refused(str(error)) from error


def _zone(value: object) -> str:
    if not isinstance(value, str):
        raise wrong_type(ZONE_HINT)
    try:
        read_zone(value)
    except ValueError as error:
        raise refused(str(error)) from error
    return value


ZoneName = Annotated[str, Field(max_length=MAX_ZONE_LENGTH), BeforeValidator(_zone)]
_Time = Annotated[
    FreezeTime,
    PlainValidator(_freeze_time),
    PlainSerializer(format_freeze_time, return_type=str, when_used="json"),
    Written(f"(?:(?:{'|'.join(WEEKDAYS)}) |{DATE_PATTERN}[ T]){CLOCK_PATTERN}"),
]


class Freeze(BaseModel):
    """A time in which no apply, resume or promotion widens an audience.

    `from` and `to` are both weekly, or both have a date.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        serialize_by_alias=True,
        defer_build=True,
    )

    name: Annotated[Text, Field(max_length=MAX_FREEZE_NAME_LENGTH)] = Field(examples=["weekend"])
    """The name, for plans and messages."""
    zone: ZoneName = Field(UTC_ZONE, examples=["Europe/Berlin"])
    """The zone of both times, by its name in the IANA database."""
    begin: _Time = Field(alias="from", examples=["fri 16:00", "2026-12-18 16:00"])
    """The first minute of the freeze, by the clock of the zone."""
    end: _Time = Field(alias="to", examples=["mon 08:00", "2027-01-04 08:00"])
    """The first minute after it."""
    features: tuple[FeatureReference, ...] = Field((), examples=[["capture"]])
    """The features that it holds; default: all."""

    @property
    def summary(self) -> str:
        """The freeze in one line, as a plan shows it."""
        times = f"{format_freeze_time(self.begin)} to {format_freeze_time(self.end)} {self.zone}"
        return f"{times}; features {', '.join(self.features)}" if self.features else times

    def holds(self, feature: str) -> bool:
        """Return whether it applies to a feature."""
        return not self.features or feature in self.features
