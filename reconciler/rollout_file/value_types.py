"""The types of values in the file: how each is read, and its part of the schema.

Each accepts the value as the reader found it (text, a decimal, a boolean) or as code made it, and refuses
others with the sentence that people read. A value of another kind is a `wrong_type` error with the
correction; the reader adds the found value. Ranges are native, so that the schema has them too.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
)
from pydantic_core import PydanticCustomError

from reconciler.rollout_file.characters import FORBIDDEN_IN_TEXT_PATTERN, cut, quoted, text_problem
from reconciler.rollout_file.durations import (
    DURATION_HINT,
    DURATION_PATTERN,
    LONGEST_DURATION,
    SHORTEST_DURATION,
    format_duration,
    parse_duration,
)
from reconciler.rollout_file.health_method import HealthMethod
from reconciler.uuid_text import UUID_PATTERN, is_uuid
from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.strategy import Strategy

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

WRONG_TYPE = "wrong_type"
REFUSED = "refused"
MOST_INTEGER = 2_147_483_647
"""The largest number of Postgres's `integer`."""
MAX_DECIMALS = 2
MAX_SHARE_DECIMALS = 4
MAX_PROCESSOR_LENGTH = 50
"""As long as the column of a job's processor."""
MOST_APPROVALS = 10
MAX_PRIORITY = 1_000

FEATURE_NAME_PATTERN = "[a-z][a-z0-9_]{0,99}"
_DATE_PATTERN = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME_PATTERN = "[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.][0-9]{1,6})?"
_MOMENT_PATTERN = f"{_DATE_PATTERN}T{_TIME_PATTERN}(?:Z|[+-][0-9]{{2}}:[0-5][0-9])"
_MOMENT_HINT = "date, time and zone, such as 2026-11-23T12:00:00Z"
_STRATEGY_HINT = "percentage, whitelist or repository_size"
_BUCKETING_HINT = "sha256 or hashtext"
_METHOD_HINT = "threshold or evidence"


def whole(pattern: str) -> str:
    """Return the pattern for a whole text, without the line feed that Python's `$` lets pass."""
    return rf"^(?:{pattern})(?!\n)$"


def wrong_type(expected: str) -> PydanticCustomError:
    """Return the error for a value of another kind; `expected` is what to write."""
    return PydanticCustomError(WRONG_TYPE, "write {expected}", {"expected": expected})


def refused(message: str) -> PydanticCustomError:
    """Return the error for a value of the right kind that is refused."""
    return PydanticCustomError(REFUSED, "{message}", {"message": message})


def read_number(value: object) -> Decimal:
    """Return a number of the file or of code."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if not isinstance(value, Decimal):
        raise wrong_type("a number, such as 25 or 12.5")
    return value


def _plain_number(value: Decimal) -> float:
    """Return a number for JSON; a float is exact enough for two decimals."""
    return float(value)


def _two_decimals(value: Decimal) -> Decimal:
    if value != round(value, MAX_DECIMALS):
        raise refused(f"{cut(str(value))} has more than two decimals")
    return value


def _four_decimals(value: Decimal) -> Decimal:
    if value != round(value, MAX_SHARE_DECIMALS):
        raise refused(f"{cut(str(value))} has more than four decimals")
    return value


def _whole_number(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, Decimal):
        raise wrong_type("a whole number, such as 10")
    if value.adjusted() > len(str(MOST_INTEGER)):
        return (MOST_INTEGER + 1) * (-1 if value < 0 else 1)
    if value != int(value):
        raise refused(f"{cut(str(value))} is not a whole number")
    return int(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise wrong_type("true or false")
    return value


def _only_true(value: object) -> bool:
    if value is not True:
        raise wrong_type("true, or remove the key")
    return value


def _version(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise wrong_type("version: 1")
    if value != 1:
        raise refused(f"{cut(str(value))} is not a version of this format; write version: 1")
    return 1


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise wrong_type("text")
    if problem := text_problem(value):
        raise refused(problem)
    if not value.strip():
        raise refused("the text is empty; write one, or remove the key")
    return value


def _feature_name(value: str) -> str:
    if not re.fullmatch(FEATURE_NAME_PATTERN, value):
        raise PydanticCustomError(
            "feature_name",
            "{message}",
            {
                "message": f"{quoted(value)} is not a feature's name; write at most 100 lower-case "
                "letters, digits and _, beginning with a letter"
            },
        )
    return value


def _duration(value: object) -> timedelta:
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError as error:
            raise refused(str(error)) from error
    if not isinstance(value, timedelta):
        raise wrong_type(DURATION_HINT)
    if not SHORTEST_DURATION <= value <= LONGEST_DURATION or value.microseconds:
        raise refused(f"{format_duration(value)} is not in whole seconds from 1s to 365d")
    return value


def _identifier(value: object) -> UUID:
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str):
        raise wrong_type("a UUID, such as 019343a7-6f8e-7c34-9a55-0b8a1f0d2c11")
    if not is_uuid(value):
        raise refused(
            f"{quoted(value)} is not a UUID; write one such as 019343a7-6f8e-7c34-9a55-0b8a1f0d2c11"
        )
    return UUID(value)


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        value = _parse_moment(value)
    if not isinstance(value, datetime):
        raise wrong_type(_MOMENT_HINT)
    if value.tzinfo is None:
        raise refused(f"{value} has no time zone; write {_MOMENT_HINT}")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise refused(f"{value} is beyond the calendar; write {_MOMENT_HINT}") from error


def _parse_moment(text: str) -> datetime:
    if not re.fullmatch(_MOMENT_PATTERN, text):
        raise refused(f"{quoted(text)} is not a time; write {_MOMENT_HINT}")
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise refused(f"{text} is on no calendar or clock; write {_MOMENT_HINT}") from error


def _strategy(value: object) -> Strategy:
    if not isinstance(value, str):
        raise wrong_type(_STRATEGY_HINT)
    if value not in set(Strategy):
        raise refused(f"{quoted(value)} is not a strategy; write {_STRATEGY_HINT}")
    return Strategy(value)


def _bucketing(value: object) -> Bucketing:
    if not isinstance(value, str):
        raise wrong_type(_BUCKETING_HINT)
    if value not in set(Bucketing):
        raise refused(f"{quoted(value)} is not a bucketing; write {_BUCKETING_HINT}")
    return Bucketing(value)


def _method(value: object) -> HealthMethod:
    if not isinstance(value, str):
        raise wrong_type(_METHOD_HINT)
    if value not in set(HealthMethod):
        raise refused(f"{quoted(value)} is not a method; write {_METHOD_HINT}")
    return HealthMethod(value)


class NamedByPattern:
    """The schema of a mapping from features' names: the pattern stands with the mapping."""

    def __get_pydantic_json_schema__(
        self, schema: "CoreSchema", handler: "GetJsonSchemaHandler"
    ) -> "JsonSchemaValue":
        """Return the schema that refuses every key that is not a feature's name."""
        described = handler(schema)
        described.pop("propertyNames", None)
        features = described.pop("additionalProperties")
        described["patternProperties"] = {whole(FEATURE_NAME_PATTERN): features}
        described["additionalProperties"] = False
        return described


class _OneLine:
    """The schema of a text: one line, not blank."""

    def __get_pydantic_json_schema__(
        self, schema: "CoreSchema", handler: "GetJsonSchemaHandler"
    ) -> "JsonSchemaValue":
        return handler(schema) | {
            "pattern": r"\S",
            "not": {"pattern": FORBIDDEN_IN_TEXT_PATTERN},
        }


class Written:
    """The schema of a value that is written as text of a pattern, whatever it is read into."""

    def __init__(self, pattern: str, **more: object) -> None:
        self.schema: dict[str, Any] = {"type": "string", "pattern": whole(pattern), **more}

    def __get_pydantic_json_schema__(
        self, schema: "CoreSchema", handler: "GetJsonSchemaHandler"
    ) -> "JsonSchemaValue":
        # A copy: pydantic adds the default of one field to it.
        return dict(self.schema)


def _feature_reference(value: object) -> str:
    if not isinstance(value, str):
        raise wrong_type("a feature's name")
    if not re.fullmatch(FEATURE_NAME_PATTERN, value):
        raise refused(f"{quoted(value)} is not a feature's name")
    return value


_AS_WRITTEN = PlainSerializer(_plain_number, return_type=float, when_used="json")

Percentage = Annotated[
    Decimal,
    Field(ge=0, le=100),
    BeforeValidator(read_number),
    AfterValidator(_two_decimals),
    _AS_WRITTEN,
]
StagePercentage = Annotated[
    Decimal,
    Field(gt=0, le=100),
    BeforeValidator(read_number),
    AfterValidator(_two_decimals),
    _AS_WRITTEN,
]
AlarmShare = Annotated[
    Decimal,
    Field(gt=0, le=0.5),
    BeforeValidator(read_number),
    AfterValidator(_four_decimals),
    _AS_WRITTEN,
]
Count = Annotated[int, Field(ge=0, le=MOST_INTEGER), BeforeValidator(_whole_number)]
PositiveCount = Annotated[int, Field(ge=1, le=MOST_INTEGER), BeforeValidator(_whole_number)]
ApprovalCount = Annotated[int, Field(ge=1, le=MOST_APPROVALS), BeforeValidator(_whole_number)]
Priority = Annotated[int, Field(ge=0, le=MAX_PRIORITY), BeforeValidator(_whole_number)]
Truth = Annotated[bool, BeforeValidator(_truth)]
OnlyTrue = Annotated[Literal[True], BeforeValidator(_only_true)]
VersionOne = Annotated[Literal[1], BeforeValidator(_version)]
Text = Annotated[str, BeforeValidator(_text), _OneLine()]
ProcessorName = Annotated[Text, Field(max_length=MAX_PROCESSOR_LENGTH)]
FeatureName = Annotated[str, AfterValidator(_feature_name)]
FeatureReference = Annotated[
    str,
    BeforeValidator(_feature_reference),
    Field(json_schema_extra={"pattern": whole(FEATURE_NAME_PATTERN)}),
]
RolloutDuration = Annotated[
    timedelta,
    PlainValidator(_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    Written(DURATION_PATTERN),
]
Identifier = Annotated[
    UUID,
    PlainValidator(_identifier),
    PlainSerializer(str, return_type=str, when_used="json"),
    Written(UUID_PATTERN, format="uuid"),
]
Moment = Annotated[
    datetime,
    PlainValidator(_moment),
    PlainSerializer(datetime.isoformat, return_type=str, when_used="json"),
    Written(_MOMENT_PATTERN, format="date-time"),
]
BucketingName = Annotated[Bucketing, BeforeValidator(_bucketing)]
StrategyName = Annotated[Strategy, BeforeValidator(_strategy)]
MethodName = Annotated[HealthMethod, BeforeValidator(_method)]
