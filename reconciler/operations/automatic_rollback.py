"""The rollback that no person asks for: metrics → verdict → limit, for each feature by itself.

A feature is judged without a lock, and limited under one if it has not changed since.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import DriverConnection
from reconciler.database.names import read_feature_names
from reconciler.database.override_actions import (
    FoundFeature,
    lock_feature,
    read_feature,
    write_restored,
)
from reconciler.database.schema import require_newest
from reconciler.database.transactions import (
    Database,
    read_only_transaction,
    write_transaction,
)
from reconciler.errors import ReconcilerError
from reconciler.operations.events import LimitRestored, RolledBack
from reconciler.operations.listeners import Emit, emit_to_no_listener
from reconciler.operations.safeguard import Acted, impose_limit
from reconciler.planning.exposure import Limit
from reconciler.planning.history import Action, HistoryCause
from reconciler.planning.override_actions import AUTO_ROLLBACK, automatic_limit, restore
from reconciler.wording import describe_limit

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection
    from reconciler.planning.health import Health, MetricsSource

JUDGED_AT_ONCE: Final = 20
"""Features whose health is read with one query of each kind."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One feature as the safeguard found it, and its action."""

    feature: str
    health: "Health"
    rollback: Acted | None
    failure: ReconcilerError | None = None
    """The reason why its rollback failed, if it did."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One feature as it was judged, without a lock."""

    found: FoundFeature
    health: "Health"
    since: "Health"
    """Since the override in force; without one the same as `health`."""

    @property
    def limit(self) -> Limit | None:
        """The limit to set; None if there is none."""
        return automatic_limit(self.found.standing, self.found.settings, self.health, self.since)

    @property
    def needs_act(self) -> bool:
        """Whether a limit is to be set, or the one in force to be enforced."""
        return self.limit is not None or restore(self.found.standing) is not None


def judge_and_roll_back(
    database: Database, features: Sequence[str] = (), source: "MetricsSource | None" = None
) -> tuple[Watched, ...]:
    """Judge the named features, or all; roll back those that fail, enforce limits that live exceeds.

    A feature is judged before anything is locked. Under the lock the judged state is compared with
    the present one: if the feature changed in between, nothing is done, and the next round judges
    again. If the rollback of one feature fails, the others continue.

    Raises:
        NotFound: there is no such feature.
    """
    with read_only_transaction(database) as connection:
        judged = tuple(judge(connection, features, source))
    return tuple(act_on(database, each) for each in judged)


def judge(
    connection: "AnyConnection", features: Sequence[str] = (), source: "MetricsSource | None" = None
) -> Iterator[Judged]:
    """Judge the named features, or all; write nothing.

    Up to `JUDGED_AT_ONCE` features share their queries. A source of metrics is asked for one feature at a
    time, so that the caller can confirm its lease in between.

    Raises:
        NotFound: there is no such feature.
    """
    require_newest(connection)
    names = tuple(features or read_feature_names(connection))
    at_once = JUDGED_AT_ONCE if source is None else 1
    for begin in range(0, len(names), at_once):
        yield from _judge(connection, names[begin : begin + at_once], source)


def act_on(database: Database, judged: Judged, emit: Emit = emit_to_no_listener) -> Watched:
    """Roll back a failing feature, or enforce a limit in force that live exceeds.

    Does nothing if the feature has changed since it was judged. An act is emitted after its commit.
    """
    from reconciler.planning.rollback_metrics import rollback_metrics

    if not judged.needs_act:
        return Watched(judged.found.name, judged.health, None)

    def act_unless_moved(connection: DriverConnection) -> Acted | None:
        found = lock_feature(connection, judged.found.name)
        if (found.standing, found.settings) != (judged.found.standing, judged.found.settings):
            return None
        if judged.limit is None:
            return _restore(connection, found)
        cause = HistoryCause(
            by=AUTO_ROLLBACK, reason=judged.since.sentence, details=rollback_metrics(judged.since)
        )
        return impose_limit(connection, found, judged.limit, Action.AUTO_ROLLBACK, cause)

    try:
        acted = write_transaction(database, act_unless_moved)
    except ReconcilerError as failure:
        return Watched(judged.found.name, judged.health, None, failure)
    if acted is not None and acted.act is not None:
        emit(
            LimitRestored(acted.feature, acted.override)
            if judged.limit is None
            else _rolled_back(acted, judged.health)
        )
    return Watched(judged.found.name, judged.health, acted)


def _restore(connection: DriverConnection, found: FoundFeature) -> Acted | None:
    act = restore(found.standing)
    if act is None:
        return None
    in_force = found.standing.in_force
    limit = None if in_force is None else in_force.percentage
    cause = HistoryCause(
        by=AUTO_ROLLBACK, reason=f"{describe_limit(limit)} is in force, and live exceeded it"
    )
    write_restored(connection, found, act, cause)
    return Acted(found.name, act, in_force, found.now)


def _rolled_back(acted: Acted, health: "Health") -> RolledBack:
    from reconciler.planning.health import NO_JOBS

    total = NO_JOBS if health.metrics is None else health.metrics.total
    rate = None if total.error_rate is None else float(total.error_rate)
    evidence = None if health.evidence is None else health.evidence.value
    return RolledBack(acted.feature, acted.override, rate, total.jobs, total.errors, evidence)


def _judge(
    connection: "AnyConnection", names: Sequence[str], source: "MetricsSource | None"
) -> Iterator[Judged]:
    from reconciler.database.health import read_health, read_healths

    features = [read_feature(connection, name) for name in names]
    healths = read_healths(connection, names, eligible={}, source=source)
    for found in features:
        health = since = healths[found.name]
        in_force = found.standing.in_force
        if in_force is not None:
            since = read_health(connection, found.name, source=source, limited_at=in_force.at)
        yield Judged(found, health, since)
