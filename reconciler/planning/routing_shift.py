"""The jobs that other rules of routing would have moved, measured by the jobs of the last day."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict

from reconciler.planning.cost import JobGroup, Prices, routed
from reconciler.planning.feature_config import Configuration
from reconciler.planning.field_types import rules_as_json
from reconciler.planning.guard_names import GuardName
from reconciler.planning.guards import Finding
from reconciler.rollout_file.routing import Cost
from reconciler.wording import count, counted, show_price
from rollout_client.route import Routing, read_routing

SHIFT_PERIOD: Final = timedelta(days=1)
MAX_SHIFTED_PERCENT: Final = 20
"""The share of the last day's jobs that other rules of routing may move without a finding."""


@dataclass(frozen=True, slots=True)
class RoutingShift:
    """The jobs of the last day that would have gone to another processor."""

    jobs: int
    """All jobs of the feature in the last day."""
    moved: Mapping[str, int]
    """How many of them would have gone elsewhere, by their new processor."""
    price_before: float | None
    """The price of the jobs of eligible repositories by the old rules; None if it is unknown."""
    price_after: float | None

    @property
    def moved_jobs(self) -> int:
        """The number of jobs that would have gone elsewhere."""
        return sum(self.moved.values())

    @property
    def summary(self) -> str:
        """The shift in a sentence."""
        of = f"{count(self.moved_jobs)} of {counted(self.jobs, 'job')} of the last day"
        targets = ", ".join(f"{count(number)} to {name}" for name, number in self.moved.items())
        price = ""
        if self.price_before is not None and self.price_after is not None:
            price = (
                f"; their price {show_price(self.price_before)} → {show_price(self.price_after)}"
            )
        return f"{of} would go elsewhere{f': {targets}' if targets else ''}{price}"


class RoutingShiftReport(BaseModel):
    """How many jobs of the last day other rules would have moved, and what they would have cost."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    jobs: int
    moved: dict[str, int]
    price_before: float | None
    price_after: float | None


def report_shift(shift: RoutingShift | None) -> RoutingShiftReport | None:
    """Return a shift as the JSON of a plan has it."""
    if shift is None:
        return None
    return RoutingShiftReport(
        jobs=shift.jobs,
        moved=dict(shift.moved),
        price_before=shift.price_before,
        price_after=shift.price_after,
    )


def routing_of(configuration: Configuration, choices: Sequence[Mapping[str, Any]] = ()) -> Routing:
    """Return the routing that a configuration declares, with the choices that the database stores."""
    return read_routing(
        configuration.processor,
        configuration.fallback,
        rules_as_json(configuration.routing),
        choices,
    )


def routing_shift(
    groups: Sequence[JobGroup], costs: Mapping[str, Cost], before: Routing, after: Routing
) -> RoutingShift:
    """Return the shift of recorded jobs between two routings; only jobs of eligible repositories move."""
    eligible = [each for each in groups if each.eligible]
    moved: dict[str, int] = {}
    for each in eligible:
        target = routed(each, after)
        if target != routed(each, before):
            moved[target] = moved.get(target, 0) + each.jobs
    prices = Prices.of(eligible, costs)
    return RoutingShift(
        jobs=sum(each.jobs for each in groups),
        moved=dict(sorted(moved.items())),
        price_before=prices.total(lambda group: routed(group, before)),
        price_after=prices.total(lambda group: routed(group, after)),
    )


@dataclass(frozen=True, slots=True)
class JobsShifted(Finding):
    """Other rules of routing move many jobs to another processor."""

    guard: ClassVar = GuardName.MAX_SHIFT
    moved: int
    jobs: int

    @property
    def message(self) -> str:
        """The number of moved jobs and of all jobs."""
        return (
            f"{self.moved:,} of {self.jobs:,} jobs of the last day would go to another processor, at "
            f"most {MAX_SHIFTED_PERCENT} % may move at once"
        )


def guard_shift(moved: int, jobs: int) -> Iterator[Finding]:
    """Refuse other rules of routing that move too large a share of the last day's jobs."""
    if 100 * moved > MAX_SHIFTED_PERCENT * jobs:
        yield JobsShifted(moved, jobs)
