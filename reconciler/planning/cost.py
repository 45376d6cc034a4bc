"""The price of jobs: what recorded jobs cost, and what they would have cost on another processor.

A processor rounds the time of each job up. Where a row of metrics has one job, its time is known and the
rounding is exact. Of other jobs the counts by duration are known, whose edges are half as long again each;
within one, durations count as evenly spread by their logarithm.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple, Self

from reconciler.rollout_file.routing import Cost
from rollout_client.route import Job, Routing

FIRST_EDGE_SECONDS: Final = 0.01
EDGE_FACTOR: Final = 1.5
SHOWN_PERIOD: Final = timedelta(days=30)
"""The cost of this time is shown if no other is asked for."""
MIN_TIMED_JOBS: Final = 10
"""A group with fewer jobs does not show what jobs of its kind cost on a processor."""
_MANY_STEPS: Final = 100
_SECONDS_PER_MINUTE: Final = 60


class Stratum(NamedTuple):
    """Jobs that are alike, whatever their processor."""

    category: str
    kind: str
    size_class: int
    """1 is a size of at most 10, 2 at most 100, and so on; 0 where it was not reported."""

    @property
    def job(self) -> Job:
        """The largest job of this kind and size."""
        return Job("", self.kind, 10**self.size_class if self.size_class else 0)


@dataclass(frozen=True, slots=True)
class JobGroup:
    """The recorded jobs of one processor and one stratum in a period."""

    processor: str
    stratum: Stratum
    jobs: int
    errors: int
    timed: int
    """The jobs with a recorded time."""
    seconds: float
    """The time of the timed jobs."""
    single: Mapping[float, float]
    """The billed seconds of the jobs whose own time is known, by the seconds to which they are rounded up."""
    counts: Sequence[int]
    """The other timed jobs by their duration."""
    durations: Sequence[int] = ()
    """All timed jobs by their duration."""
    eligible: bool = False
    """Whether their repositories are eligible now."""

    def billed_seconds(self, round_up: float) -> float | None:
        """Return the time of all jobs, each rounded up; None if no job has a time."""
        if self.jobs == 0:
            return 0.0
        if self.timed == 0:
            return None
        counted = sum(
            number * expected_rounded(bucket, round_up)
            for bucket, number in enumerate(self.counts)
            if number
        )
        return (self.single.get(round_up, 0.0) + counted) * self.jobs / self.timed

    def price(self, cost: Cost | None) -> float | None:
        """Return the price of the jobs at a processor's cost; None if it is unknown."""
        if cost is None:
            return None
        executions = float(cost.per_execution) * cost.executions_per_job * self.jobs
        if not cost.per_minute:
            return executions
        billed = self.billed_seconds(cost.round_up.total_seconds())
        if billed is None:
            return None
        return executions + float(cost.per_minute) * billed / _SECONDS_PER_MINUTE

    def price_variance(self, cost: Cost) -> float:
        """Return the variance of the price of one job, from its duration."""
        timed = sum(self.durations)
        if not timed or not cost.per_minute:
            return 0.0
        per_second = float(cost.per_minute) / _SECONDS_PER_MINUTE
        prices = [
            (number, per_second * expected_rounded(bucket, cost.round_up.total_seconds()))
            for bucket, number in enumerate(self.durations)
            if number
        ]
        mean = sum(number * price for number, price in prices) / timed
        return sum(number * (price - mean) ** 2 for number, price in prices) / timed


def expected_rounded(bucket: int, round_up: float) -> float:
    """Return the expected time of a job of a duration's bucket (from 0), rounded up."""
    high = FIRST_EDGE_SECONDS * EDGE_FACTOR**bucket
    if high <= round_up:
        return round_up
    low = high / EDGE_FACTOR if bucket else 0.0
    spread = math.log(EDGE_FACTOR)
    first = math.floor(low / round_up) + 1
    last = math.ceil(high / round_up)
    if last - first > _MANY_STEPS:
        return (high - low) / spread + round_up / 2
    # A duration is over each multiple up to `low`, and over a further one with this probability.
    over = sum(math.log(high / (step * round_up)) / spread for step in range(first, last))
    return round_up * (first + over)


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of groups of jobs on any processor."""

    groups: Sequence[JobGroup]
    costs: Mapping[str, Cost]
    shown: Mapping[tuple[str, Stratum], JobGroup]
    """The groups with enough jobs to show what such jobs cost on their processor."""

    @classmethod
    def of(cls, groups: Sequence[JobGroup], costs: Mapping[str, Cost]) -> Self:
        """Return the prices that recorded jobs and costs show."""
        shown = {
            (each.processor, each.stratum): each for each in groups if each.timed >= MIN_TIMED_JOBS
        }
        return cls(groups, costs, shown)

    def on(self, group: JobGroup, processor: str) -> float | None:
        """Return what a group costs on a processor: as its jobs of that stratum cost there.

        Where that processor had too few of them, its cost for the time that the group took.
        """
        cost = self.costs.get(processor)
        there = None
        if processor != group.processor:
            there = self.shown.get((processor, group.stratum))
        if there is None:
            return group.price(cost)
        price = there.price(cost)
        return None if price is None else price / there.jobs * group.jobs

    def total(self, chosen: Callable[[JobGroup], str]) -> float | None:
        """Return the price of all jobs, each group on the processor chosen for it; None if one is unknown."""
        return total(self.on(each, chosen(each)) for each in self.groups)


def total(prices: Iterable[float | None]) -> float | None:
    """Return a sum; None if a part of it is unknown."""
    found = 0.0
    for each in prices:
        if each is None:
            return None
        found += each
    return found


@dataclass(frozen=True, slots=True)
class CostLine:
    """The jobs of one processor, category and kind, and their price."""

    processor: str
    category: str
    kind: str
    jobs: int
    errors: int
    minutes: float | None
    """The recorded time, without rounding; jobs without a time count as the others."""
    price: float | None
    """None if the processor has no price in the file, or no job has a time."""
    price_per_success: float | None


@dataclass(frozen=True, slots=True)
class RunningLine:
    """The jobs that run now on one of a feature's processors."""

    processor: str
    running: int
    """The jobs of the feature."""
    running_of_all: int
    """The jobs of all features, which the limit counts."""
    concurrency: int | None
    """The limit of the processor; None if it has none."""


@dataclass(frozen=True, slots=True)
class CostReport:
    """What a feature's jobs cost in a period, and what they would have cost."""

    feature: str
    lines: Sequence[CostLine]
    jobs: int
    now: float | None
    """As the jobs ran."""
    at_0: float | None
    """All jobs on the fallback."""
    at_100: float | None
    """All repositories eligible, by the rules of the feature."""
    running: Sequence[RunningLine] = ()

    @property
    def saved(self) -> float | None:
        """What was saved against the fallback alone; negative if it cost more."""
        return None if self.at_0 is None or self.now is None else self.at_0 - self.now


def cost_report(
    feature: str,
    groups: Sequence[JobGroup],
    costs: Mapping[str, Cost],
    routing: Routing,
    running: Sequence[RunningLine] = (),
) -> CostReport:
    """Return the cost of a feature's recorded jobs."""
    prices = Prices.of(groups, costs)
    return CostReport(
        feature=feature,
        lines=tuple(_lines(groups, costs)),
        jobs=sum(each.jobs for each in groups),
        now=prices.total(lambda group: group.processor),
        at_0=prices.total(lambda _group: routing.fallback),
        at_100=prices.total(lambda group: routed(group, routing)),
        running=running,
    )


def routed(group: JobGroup, routing: Routing) -> str:
    """Return the processor of a group's jobs if their repositories are eligible."""
    stratum = group.stratum
    return routing.route(stratum.job, eligible=True, category=stratum.category).processor


def _lines(groups: Sequence[JobGroup], costs: Mapping[str, Cost]) -> Iterable[CostLine]:
    parts: dict[tuple[str, str, str], list[JobGroup]] = {}
    for each in groups:
        key = each.processor, each.stratum.category, each.stratum.kind
        parts.setdefault(key, []).append(each)
    for (processor, category, kind), found in sorted(parts.items()):
        jobs, errors = sum(each.jobs for each in found), sum(each.errors for each in found)
        timed = sum(each.timed for each in found)
        price = total(each.price(costs.get(processor)) for each in found)
        seconds = sum(each.seconds for each in found)
        yield CostLine(
            processor=processor,
            category=category,
            kind=kind,
            jobs=jobs,
            errors=errors,
            minutes=seconds * jobs / timed / _SECONDS_PER_MINUTE if timed else None,
            price=price,
            price_per_success=None if price is None or jobs <= errors else price / (jobs - errors),
        )
