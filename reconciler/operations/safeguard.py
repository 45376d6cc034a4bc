"""The second loop: metrics → verdict → override, at once and in the database.

Every act is one transaction: the override's row, the feature's exposure, one row of history; the
triggers notify. After its commit every client uses the new limit, independently of git.
`write_back` writes the override to git.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from reconciler.database.driver import DriverConnection
from reconciler.database.override_actions import (
    FoundFeature,
    lock_feature,
    read_feature,
    read_feature_names,
    write_act,
    write_restored,
)
from reconciler.database.schema import require_newest
from reconciler.database.transactions import (
    Database,
    act_transaction,
    read_only_transaction,
)
from reconciler.errors import ReconcilerError, Refused
from reconciler.operations.events import (
    Emit,
    FreezeOverridden,
    LimitRestored,
    RolledBack,
    emit_to_no_listener,
)
from reconciler.operations.seen import SeenBy, cause_of_person
from reconciler.planning.drift import Limit
from reconciler.planning.history import Action, HistoryCause
from reconciler.planning.override_actions import (
    AUTO_ROLLBACK,
    Act,
    automatic_limit,
    impose,
    lift,
    restore,
)
from reconciler.rollout_file.characters import one_line
from reconciler.rollout_file.model import MAX_AUTHOR_LENGTH, MAX_REASON_LENGTH, Override
from reconciler.wording import describe_limit

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from reconciler.database.driver import AnyConnection
    from reconciler.planning.freezes import Hold
    from reconciler.planning.health import Health, MetricsSource

STOP: Final = Limit(None)
JUDGED_AT_ONCE: Final = 20
"""Features whose health is read with one query of each kind."""


@dataclass(frozen=True, slots=True)
class Acted:
    """The effect of an act on a feature."""

    feature: str
    act: Act | None
    """None if no change was needed."""
    override: Override | None
    """The override now in force."""
    at: datetime


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


def stop(
    database: Database,
    feature: str,
    *,
    by: str,
    reason: str,
    seen: SeenBy | None = None,
) -> Acted:
    """Stop a feature at once: no repository is eligible.

    Raises:
        NotFound: there is no such feature.
        Moved: the feature is not as `seen` has it.
    """

    def stop_feature(connection: DriverConnection) -> Acted:
        require_newest(connection)
        found = lock_feature(connection, feature)
        cause = cause_of_person(found, by, reason, seen)
        return _impose(connection, found, STOP, Action.EMERGENCY_STOP, cause)

    return act_transaction(database, stop_feature)


def roll_back(
    database: Database,
    feature: str,
    to: Decimal,
    *,
    by: str,
    reason: str,
    seen: SeenBy | None = None,
) -> Acted:
    """Lower a feature to a percentage, at once.

    Raises:
        NotFound: there is no such feature.
        Refused: a narrower limit is in force, or this one would exclude no repository.
        Moved: the feature is not as `seen` has it.
    """

    def limit_feature(connection: DriverConnection) -> Acted:
        require_newest(connection)
        found = lock_feature(connection, feature)
        cause = cause_of_person(found, by, reason, seen)
        return _impose(connection, found, Limit(to), Action.ROLLBACK, cause)

    return act_transaction(database, limit_feature)


def resume(
    database: Database,
    feature: str,
    *,
    by: str,
    reason: str,
    seen: SeenBy | None = None,
    allows_freeze: bool = False,
    emit: Emit = emit_to_no_listener,
) -> Acted:
    """End the limits of a feature, at once: it is as the last apply left it, without an override.

    Args:
        database: the rollout's database.
        feature: its name.
        by: the person.
        reason: the reason, for history; also for going through a freeze.
        seen: what the person looked at.
        allows_freeze: whether to resume while a freeze holds the feature.
        emit: receives the freeze that was gone through.

    Raises:
        NotFound: there is no such feature.
        Moved: the feature is not as `seen` has it.
        Refused: a freeze holds it.
    """
    overridden: list[FreezeOverridden] = []

    def lift_limits(connection: DriverConnection) -> Acted:
        require_newest(connection)
        found = lock_feature(connection, feature)
        cause = cause_of_person(found, by, reason, seen)
        act = lift(found.standing)
        in_force = found.standing.in_force
        overridden.clear()
        if act is not None:
            hold = hold_of_resume(connection, feature, act)
            if hold is not None and not allows_freeze:
                raise Refused(
                    f"{hold.sentence}; nothing was written; to resume in it: "
                    'reconcile resume --allow freeze --reason "TEXT"'
                )
            if hold is not None:
                from reconciler.operations.freeze_override import go_through

                cause, event = go_through(hold, feature, cause, found.generation)
                overridden.append(event)
            write_act(
                connection,
                found,
                act,
                action=Action.RESUMED,
                override=None if in_force is None else in_force.id,
                cause=cause,
            )
        return Acted(feature, act, None if act is not None else in_force, found.now)

    acted = act_transaction(database, lift_limits)
    for each in overridden:
        emit(each)
    return acted


def hold_of_resume(connection: "AnyConnection", feature: str, act: Act) -> "Hold | None":
    """Return the freeze that holds a feature now, if repositories gain it by a resume."""
    from reconciler.database.freezes import read_applied_freezes

    return read_applied_freezes(connection).hold(feature) if act.widens else None


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
    connection: "Connection", features: Sequence[str] = (), source: "MetricsSource | None" = None
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
        return _impose(connection, found, judged.limit, Action.AUTO_ROLLBACK, cause)

    try:
        acted = act_transaction(database, act_unless_moved)
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
    connection: "Connection", names: Sequence[str], source: "MetricsSource | None"
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


def _impose(
    connection: DriverConnection,
    found: FoundFeature,
    limit: Limit,
    action: Action,
    cause: HistoryCause,
) -> Acted:
    override = Override(
        id=uuid4(),
        percentage=limit.percentage,
        emergency_stop=True if limit.percentage is None else None,
        # Shortened for the file; history keeps the whole text.
        reason=one_line(cause.reason, MAX_REASON_LENGTH),
        by=one_line(cause.by, MAX_AUTHOR_LENGTH),
        at=found.now,
    )
    act = impose(found.standing, override)
    if act is None:
        return Acted(found.name, None, found.standing.in_force, found.now)
    in_force = override if act.written else found.standing.in_force
    assert in_force is not None  # noqa: S101 - only a limit in force is put back
    write_act(connection, found, act, action=action, override=in_force.id, cause=cause)
    return Acted(found.name, act, in_force, found.now)
