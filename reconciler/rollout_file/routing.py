"""The file's `processors:` and the `routing:` of a feature: prices, and the rules that choose a processor.

A price belongs to a day, so it has one. A rule never makes a repository eligible.
"""

import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
)
from pydantic_core import PydanticCustomError

from reconciler.rollout_file.characters import quoted, text_problem
from reconciler.rollout_file.durations import format_duration, parse_duration
from reconciler.rollout_file.part import Part
from reconciler.rollout_file.value_types import (
    MAX_PROCESSOR_LENGTH,
    PositiveCount,
    ProcessorName,
    RolloutDuration,
    Text,
    Truth,
    Written,
    read_number,
    refused,
    wrong_type,
)
from reconciler.wording import counted
from rollout_client.route import SIZE_PATTERN
from rollout_client.targeting.categories import Category

MAX_RULES = 50
MAX_PRICE_DECIMALS = 8
_MAX_BECAUSE_LENGTH = 1_000
_MAX_KIND_LENGTH = 50
_DATE_PATTERN = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_DATE_HINT = "a date, such as 2026-11-01"
_SIZE_HINT = 'a comparison, such as "<=10"'
_P95_PATTERN = "< ?[1-9][0-9]{0,6}[smhd]"
_P95_HINT = 'a time, such as "<30m"'
_ERROR_RATE_PATTERN = "< ?[0-9]{1,2}(?:[.][0-9]{1,2})? ?%"
_ERROR_RATE_HINT = 'a rate, such as "<2%"'
_CATEGORY_HINT = "test, small, medium, large or enterprise"


def _text_of(pattern: str, hint: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str):
            raise wrong_type(hint)
        if not re.fullmatch(pattern, value):
            raise refused(f"{quoted(value)} does not fit; write {hint}")
        return value

    return read


def _p95(value: object) -> str:
    written = _text_of(_P95_PATTERN, _P95_HINT)(value)
    try:
        parse_duration(written.lstrip("< "))
    except ValueError as error:
        raise refused(str(error)) from error
    return written


def _category(value: object) -> Category:
    if not isinstance(value, str):
        raise wrong_type(_CATEGORY_HINT)
    if value not in set(Category):
        raise refused(f"{quoted(value)} is not a category; write {_CATEGORY_HINT}")
    return Category(value)


def _date(value: object) -> date:
    if isinstance(value, str) and re.fullmatch(_DATE_PATTERN, value):
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise refused(f"{value} is on no calendar; write {_DATE_HINT}") from error
    if not isinstance(value, date):
        raise wrong_type(_DATE_HINT)
    return value


def _price(value: Decimal) -> Decimal:
    if value != round(value, MAX_PRICE_DECIMALS):
        raise refused(f"{value} has more than {MAX_PRICE_DECIMALS} decimals")
    return value


def _key(value: str) -> str:
    if not value.strip() or len(value) > MAX_PROCESSOR_LENGTH or text_problem(value) is not None:
        # The type of the error of each key that is a name.
        raise PydanticCustomError(
            "feature_name",
            "{message}",
            {
                "message": f"{quoted(value)} is not a processor's name; write one line of at most "
                f"{MAX_PROCESSOR_LENGTH} characters"
            },
        )
    return value


Price = Annotated[
    Decimal,
    Field(ge=0, le=1_000_000),
    BeforeValidator(read_number),
    AfterValidator(_price),
    PlainSerializer(float, return_type=float, when_used="json"),
]
SizeComparison = Annotated[
    str, PlainValidator(_text_of(SIZE_PATTERN, _SIZE_HINT)), Written(SIZE_PATTERN)
]
P95 = Annotated[str, PlainValidator(_p95), Written(_P95_PATTERN)]
ErrorRate = Annotated[
    str,
    PlainValidator(_text_of(_ERROR_RATE_PATTERN, _ERROR_RATE_HINT)),
    Written(_ERROR_RATE_PATTERN),
]
KindName = Annotated[Text, Field(max_length=_MAX_KIND_LENGTH)]
CategoryName = Annotated[Category, BeforeValidator(_category)]
PriceDate = Annotated[
    date,
    PlainValidator(_date),
    PlainSerializer(date.isoformat, return_type=str, when_used="json"),
    Written(_DATE_PATTERN, format="date"),
]
ProcessorKey = Annotated[str, AfterValidator(_key)]


class Cost(Part):
    """The price of a job: of its minutes, its executions, or both; in one currency for the whole file."""

    per_minute: Price = Field(Decimal(0), examples=[0.006])
    """The price of one minute."""
    round_up: RolloutDuration = Field(timedelta(seconds=1), examples=["1m"])
    """Each job's time is rounded up to a multiple of this."""
    per_execution: Price = Field(Decimal(0), examples=[0.0001])
    """The price of one execution."""
    executions_per_job: PositiveCount = Field(1, examples=[6])
    """The executions that one job needs."""


class Processor(Part):
    """What is known about a processor."""

    cost: Cost = Field(examples=[{"per_minute": 0.006, "round_up": "1m"}])
    """The price of its jobs."""
    concurrency: PositiveCount | None = Field(None, examples=[20])
    """The jobs that may run at once before jobs of a rule with `spill` go to the other processor."""
    as_of: PriceDate = Field(examples=["2026-11-01"])
    """The day of which the price is."""

    @property
    def summary(self) -> str:
        """The price in one line, as a plan shows it."""
        cost = self.cost
        parts = []
        if cost.per_minute:
            rounded = f" (rounded up to {format_duration(cost.round_up)})"
            parts.append(f"{cost.per_minute.normalize():f} a minute{rounded}")
        if cost.per_execution or not parts:
            each = f"{cost.per_execution.normalize():f} an execution"
            parts.append(f"{each}, {cost.executions_per_job} a job")
        limit = f", {counted(self.concurrency, 'job')} at once" if self.concurrency else ""
        return f"{' and '.join(parts)}{limit}, as of {self.as_of}"


class RoutedJobs(Part):
    """The jobs that a rule takes; an absent key means all."""

    size: SizeComparison | None = Field(None, examples=["<=10", ">1000"])
    """A comparison with the job's size: <=, <, >=, > or =; a job without a size counts as 0."""
    kind: tuple[KindName, ...] = Field((), examples=[["pull_requests"]])
    """The kinds of jobs."""
    category: tuple[CategoryName, ...] = Field((), examples=[["large", "enterprise"]])
    """The categories of their repositories."""


class Condition(Part):
    """What there must be evidence of before jobs move to a processor."""

    p95: P95 | None = Field(None, examples=["<30m"])
    """The time within which 95 percent of the jobs end, such as <30m."""
    error_rate: ErrorRate | None = Field(None, examples=["<2%"])
    """The error rate, such as <2%."""


class RoutingRule(Part):
    """One rule; the first rule that takes a job decides."""

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )

    when: RoutedJobs = Field(RoutedJobs.model_construct(), examples=[{"size": "<=10"}])
    """The jobs that the rule takes; default: all."""
    to: ProcessorName = Field(examples=["inngest"])
    """The processor of these jobs: the feature's processor, its fallback, or `cheapest`."""
    condition: Condition | None = Field(
        None, alias="if", examples=[{"p95": "<30m", "error_rate": "<2%"}]
    )
    """What there must be evidence of before jobs move to the cheapest processor."""
    spill: Truth = Field(default=False, examples=[True])
    """Whether jobs go to the other processor while this one is at its `concurrency`."""
    because: Annotated[Text, Field(max_length=_MAX_BECAUSE_LENGTH)] | None = Field(
        None, examples=["somebody waits for it"]
    )
    """The reason."""

    @property
    def summary(self) -> str:
        """The rule in a few words, as a plan shows it."""
        parts = [f"size {self.when.size}"] if self.when.size else []
        parts += [", ".join(self.when.kind)] if self.when.kind else []
        parts += [", ".join(self.when.category)] if self.when.category else []
        spill = ", else spill" if self.spill else ""
        return f"{'; '.join(parts) or 'all jobs'} to {self.to}{spill}"
