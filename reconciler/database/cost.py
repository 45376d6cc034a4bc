"""The recorded jobs of a feature, in groups whose price can be computed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.database.driver import execute
from reconciler.database.processors import read_processors
from reconciler.database.queries import queries
from reconciler.planning.cheapest import Choice, read_choices
from reconciler.planning.cost import CostReport, JobGroup, RunningLine, Stratum, cost_report
from reconciler.planning.feature_config import Configuration
from reconciler.planning.routing_shift import SHIFT_PERIOD, RoutingShift, routing_of, routing_shift
from rollout_client.route import NO_LIMITS, Load, Routing, read_routing

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection
    from reconciler.rollout_file.routing import Cost

_SQL = queries("cost")


def read_job_groups(
    connection: "AnyConnection",
    feature: str,
    since: datetime,
    costs: "Mapping[str, Cost]",
    *,
    with_eligibility: bool = False,
) -> Sequence[JobGroup]:
    """Return a feature's jobs since a time, in groups.

    Args:
        connection: the database.
        feature: its name.
        since: the begin of the period.
        costs: the costs of processors, which say how times are rounded.
        with_eligibility: whether to separate the jobs of repositories that are eligible now.
    """
    round_ups = sorted({each.round_up.total_seconds() for each in costs.values()})
    rows = execute(
        connection,
        _SQL["jobs"],
        {
            "feature": feature,
            "since": since,
            "round_ups": round_ups,
            "with_eligibility": with_eligibility,
        },
    )
    return tuple(
        JobGroup(
            processor=row.processor,
            stratum=Stratum(row.category, row.kind, row.size_class),
            jobs=row.jobs,
            errors=row.errors,
            timed=row.timed,
            seconds=row.seconds,
            single={
                seconds: billed or 0.0
                for seconds, billed in zip(round_ups, row.single, strict=True)
            },
            counts=row.counts or (),
            durations=row.durations or (),
            eligible=row.eligible,
        )
        for row in rows
    )


def read_routing_of(connection: "AnyConnection", feature: str) -> Routing:
    """Return the routing of a feature; the default one for an unknown feature."""
    row = execute(connection, _SQL["processors"], {"feature": feature}).one_or_none()
    return (
        Routing()
        if row is None
        else read_routing(row.processor, row.fallback, row.routing, row.routing_choices)
    )


def read_loads(connection: "AnyConnection", routing: Routing) -> Mapping[str, Load]:
    """Return the limits of a feature's processors, and the jobs that run there, if a rule spills."""
    if not routing.spills:
        return NO_LIMITS
    names = [routing.processor, routing.fallback]
    return {
        row.processor: Load(row.concurrency, row.running)
        for row in execute(connection, _SQL["loads"], {"processors": names})
    }


def read_costs(connection: "AnyConnection") -> "Mapping[str, Cost]":
    """Return the cost of each processor that has one in the last applied file."""
    return {name: each.cost for name, each in read_processors(connection).items()}


def read_cost(connection: "AnyConnection", feature: str, since: datetime) -> CostReport:
    """Return what a feature's jobs cost since a time."""
    costs = read_costs(connection)
    groups = read_job_groups(connection, feature, since, costs)
    running = tuple(
        RunningLine(row.processor, row.running, row.running_of_all, row.concurrency)
        for row in execute(connection, _SQL["running"], {"feature": feature})
    )
    return cost_report(feature, groups, costs, read_routing_of(connection, feature), running)


def measure_shift(
    connection: "AnyConnection",
    feature: str,
    before: Configuration,
    after: Configuration,
    costs: "Mapping[str, Cost]",
) -> RoutingShift:
    """Return the jobs of the last day that a change of a feature's rules would have moved."""
    now = execute(connection, _SQL["now"]).scalar()
    groups = read_job_groups(connection, feature, now - SHIFT_PERIOD, costs, with_eligibility=True)
    row = execute(connection, _SQL["processors"], {"feature": feature}).one()
    return routing_shift(
        groups,
        costs,
        routing_of(before, row.routing_choices),
        routing_of(after, row.routing_choices),
    )


@dataclass(frozen=True, slots=True)
class LockedChoices:
    """A feature's choices, locked until the end of the transaction."""

    choices: Sequence[Choice]
    generation: int
    now: datetime


def lock_choices(connection: "AnyConnection", feature: str) -> LockedChoices:
    """Lock a feature's row, and return its choices of cheapest processors."""
    row = execute(connection, _SQL["lock_choices"], {"feature": feature}).one()
    return LockedChoices(read_choices(row.routing_choices), row.generation, row.now)


def write_choices(connection: "AnyConnection", feature: str, choices: Sequence[Choice]) -> None:
    """Write the processors that are chosen for a feature's rules."""
    written = json.dumps([each.as_json() for each in choices])
    execute(connection, _SQL["write_choices"], {"feature": feature, "choices": written})
