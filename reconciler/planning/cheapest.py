"""Which processor is cheapest for the jobs of a rule, where its jobs are evidence enough; else it stays.

The cost of a successful job is the expected price divided by the share of successes. Small and large jobs
are not alike, so both processors are compared with the same share of each kind and size.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from reconciler.planning.cost import (
    EDGE_FACTOR,
    FIRST_EDGE_SECONDS,
    MIN_TIMED_JOBS,
    JobGroup,
    Stratum,
)
from reconciler.planning.evidence_formulas import log_hard_limit
from reconciler.planning.feature_config import Configuration
from reconciler.planning.field_types import rules_as_json
from reconciler.planning.routing_shift import routing_of
from reconciler.rollout_file.durations import parse_duration
from reconciler.rollout_file.routing import Condition, Cost
from reconciler.wording import counted, show_price
from rollout_client.route import CHEAPEST, rule_identity

COMPARED_PERIOD: Final = timedelta(days=7)
MIN_SAVING: Final = 0.15
"""The share of the cost of a successful job that a move saves at least."""
MIN_COMPARED_JOBS: Final = 100
"""The jobs of each processor without which a choice stays."""
MIN_COMPARED_SHARE: Final = 0.5
"""The share of all jobs whose kind and size both processors ran often enough."""
STANDARD_ERRORS: Final = 5.0
"""A saving counts from this many standard errors on, so that noise alone moves nothing for centuries."""
SETTLED_FOR: Final = timedelta(days=1)
_SLOW_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Choice:
    """The processor of one rule's jobs of one category."""

    rule: Mapping[str, Any]
    """The rule as JSON, without its reason."""
    category: str
    processor: str
    at: datetime

    def as_json(self) -> dict[str, Any]:
        """Return the choice as the database stores it."""
        return {
            "rule": dict(self.rule),
            "category": self.category,
            "processor": self.processor,
            "at": self.at.isoformat(),
        }


def read_choices(stored: Sequence[Mapping[str, Any]]) -> tuple[Choice, ...]:
    """Return the choices that the database stores; one whose time cannot be read is as old as can be."""
    return tuple(
        Choice(each["rule"], each["category"], each["processor"], _time(each["at"]))
        for each in stored
    )


def _time(written: str) -> datetime:
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Move:
    """Another choice, with the metrics that show it."""

    number: int
    """The number of the rule, from 1."""
    choice: Choice
    before: str
    cost_before: float
    """The cost of a successful job on the processor until now."""
    cost_after: float
    jobs: int
    """The compared jobs of both processors."""

    @property
    def saving(self) -> float:
        """The saved share of the cost."""
        return 1 - self.cost_after / self.cost_before

    @property
    def sentence(self) -> str:
        """The move and its saving."""
        return (
            f"rule {self.number}, {self.choice.category}: {self.before} → {self.choice.processor} saves "
            f"{100 * self.saving:.0f} % of the cost of a successful job ({show_price(self.cost_before)} → "
            f"{show_price(self.cost_after)}, {counted(self.jobs, 'job')})"
        )

    def details(self) -> dict[str, Any]:
        """Return the move as its row of history has it."""
        return {
            "rule": self.number,
            "category": self.choice.category,
            "before": self.before,
            "after": self.choice.processor,
            "cost_before": round(self.cost_before, 8),
            "cost_after": round(self.cost_after, 8),
            "jobs": self.jobs,
        }


def cheaper_moves(
    configuration: Configuration,
    choices: Sequence[Choice],
    groups: Sequence[JobGroup],
    costs: Mapping[str, Cost],
    now: datetime,
    *,
    is_limited: bool,
    is_frozen: bool = False,
) -> Iterator[Move]:
    """Yield the choices that change, at most one a day for each rule and category.

    Args:
        configuration: the live configuration.
        choices: the choices until now.
        groups: the jobs of the compared period.
        costs: the costs of processors.
        now: the database's time.
        is_limited: whether a rollback or a stop is in force.
        is_frozen: whether changes are not allowed now.
    """
    if is_limited or is_frozen or configuration.targeting.off_rule is not None:
        return
    for number, rule in enumerate(configuration.routing, start=1):
        if rule.to != CHEAPEST:
            continue
        identity = rule_identity(rules_as_json([rule])[0])
        for category, found in _by_category(number, configuration, groups).items():
            before = _choice_of(choices, identity, category)
            if before is not None and now - before.at < SETTLED_FOR:
                continue
            current = configuration.processor if before is None else before.processor
            other = (
                configuration.fallback
                if current == configuration.processor
                else configuration.processor
            )
            compared = _compare(found, current, other, costs)
            if compared is None or not _holds(rule.condition, found, other, configuration):
                continue
            cost_before, cost_after, jobs = compared
            choice = Choice(identity, category, other, now)
            yield Move(number, choice, current, cost_before, cost_after, jobs)


def with_moves(
    configuration: Configuration, choices: Sequence[Choice], moves: Sequence[Move]
) -> tuple[Choice, ...]:
    """Return the choices after some moves, without those for rules that the feature no longer has."""
    rules = [rule_identity(each) for each in rules_as_json(configuration.routing)]
    moved = [each.choice for each in moves]
    replaced = [(each.rule, each.category) for each in moved]
    kept = (
        each
        for each in choices
        if each.rule in rules and (each.rule, each.category) not in replaced
    )
    return (*kept, *moved)


def _choice_of(
    choices: Sequence[Choice], identity: Mapping[str, Any], category: str
) -> Choice | None:
    return next(
        (each for each in choices if (each.rule, each.category) == (identity, category)), None
    )


def _by_category(
    number: int, configuration: Configuration, groups: Sequence[JobGroup]
) -> Mapping[str, list[JobGroup]]:
    """Return the groups whose jobs the rule takes, by category."""
    routing = routing_of(configuration)
    found: dict[str, list[JobGroup]] = {}
    for each in groups:
        category = each.stratum.category
        route = routing.route(each.stratum.job, eligible=True, category=category)
        if route.rule == number:
            found.setdefault(category, []).append(each)
    return found


def _compare(
    groups: Sequence[JobGroup], current: str, other: str, costs: Mapping[str, Cost]
) -> tuple[float, float, int] | None:
    """Return the cost of a success on both processors, and the compared jobs; None if it may be noise."""
    strata: dict[Stratum, dict[str, JobGroup]] = {}
    for each in groups:
        if each.timed >= MIN_TIMED_JOBS and each.processor in {current, other}:
            strata.setdefault(each.stratum, {})[each.processor] = each
    both = [found for found in strata.values() if len(found) > 1]
    weights = [sum(each.jobs for each in found.values()) for found in both]
    jobs = sum(weights)
    if jobs <= MIN_COMPARED_SHARE * sum(each.jobs for each in groups):
        return None
    shares = [weight / jobs for weight in weights]
    measured = [
        _cost_of_a_success([found[name] for found in both], shares, costs.get(name))
        for name in (current, other)
    ]
    if measured[0] is None or measured[1] is None:
        return None
    (before, before_variance), (after, after_variance) = measured[0], measured[1]
    if min(before, after) <= 0 or after > (1 - MIN_SAVING) * before:
        return None
    if math.log(before / after) < STANDARD_ERRORS * math.sqrt(before_variance + after_variance):
        return None
    return before, after, jobs


def _cost_of_a_success(
    groups: Sequence[JobGroup], shares: Sequence[float], cost: Cost | None
) -> tuple[float, float] | None:
    """Return the cost of a successful job, and the variance of its logarithm."""
    if sum(each.jobs for each in groups) < MIN_COMPARED_JOBS:
        return None
    price = price_variance = errors = errors_variance = 0.0
    for share, each in zip(shares, groups, strict=True):
        total = each.price(cost)
        if total is None or cost is None:
            return None
        mean = total / each.jobs
        price += share * mean
        price_variance += share**2 * each.price_variance(cost) / each.timed
        # One more error and one more success, so that a few jobs without an error do not count as certain.
        rate = (each.errors + 1) / (each.jobs + 2)
        errors += share * each.errors / each.jobs
        errors_variance += share**2 * rate * (1 - rate) / each.jobs
    if price <= 0 or errors >= 1:
        return None
    return price / (1 - errors), price_variance / price**2 + errors_variance / (1 - errors) ** 2


def _holds(
    condition: Condition | None,
    groups: Sequence[JobGroup],
    processor: str,
    configuration: Configuration,
) -> bool:
    """Return whether there is evidence that a processor keeps to a rule's condition."""
    if condition is None:
        return True
    needed = -math.log(float(configuration.false_alarms))
    found = [each for each in groups if each.processor == processor]
    if condition.error_rate is not None:
        limit = float(Decimal(re.sub("[< %]", "", condition.error_rate)) / 100)
        jobs, errors = sum(each.jobs for each in found), sum(each.errors for each in found)
        if log_under(errors, jobs, limit) < needed:
            return False
    if condition.p95 is not None:
        seconds = parse_duration(condition.p95.lstrip("< ")).total_seconds()
        timed = sum(sum(each.durations) for each in found)
        slow = sum(
            number
            for each in found
            for bucket, number in enumerate(each.durations)
            # The bucket that has the limit counts as slow.
            if FIRST_EDGE_SECONDS * EDGE_FACTOR**bucket > seconds
        )
        if log_under(slow, timed, _SLOW_SHARE) < needed:
            return False
    return True


def log_under(hits: int, jobs: int, limit: float) -> float:
    """Return the log evidence that a rate is under a limit, a share from 0 to 1."""
    return log_hard_limit(jobs - hits, jobs, 1 - limit)
