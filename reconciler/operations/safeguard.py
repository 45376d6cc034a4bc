"""Limits that people set and end, at once and in the database; `automatic_rollback` sets the others.

Every act is one transaction: the override's row, the feature's exposure, one row of history; the
triggers notify. After its commit every client uses the new limit, independently of git.
`write_back` writes the override to git.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from reconciler.database.driver import DriverConnection
from reconciler.database.history_writer import HistoryWriter
from reconciler.database.override_actions import (
    FoundFeature,
    lock_feature,
    write_act,
)
from reconciler.database.schema import require_newest
from reconciler.database.transactions import (
    Database,
    write_transaction,
)
from reconciler.errors import Refused
from reconciler.operations.listeners import Emit, emit_to_no_listener
from reconciler.operations.seen import SeenBy, cause_of_person
from reconciler.planning.exposure import Limit
from reconciler.planning.history import Action, HistoryCause
from reconciler.planning.override_actions import (
    Act,
    impose,
    lift,
)
from reconciler.rollout_file.characters import one_line
from reconciler.rollout_file.override import MAX_AUTHOR_LENGTH, MAX_REASON_LENGTH, Override

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection
    from reconciler.operations.events import FreezeOverridden
    from reconciler.planning.drift import Drift
    from reconciler.planning.freezes import Hold

STOP: Final = Limit(None)


@dataclass(frozen=True, slots=True)
class Acted:
    """The effect of an act on a feature."""

    feature: str
    act: Act | None
    """None if no change was needed."""
    override: Override | None
    """The override now in force."""
    at: datetime
    reverted: "tuple[Drift, ...]" = ()
    """What SQL had widened beside the limit, and a resume put back."""


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
        return impose_limit(connection, found, STOP, Action.EMERGENCY_STOP, cause)

    return write_transaction(database, stop_feature)


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
        return impose_limit(connection, found, Limit(to), Action.ROLLBACK, cause)

    return write_transaction(database, limit_feature)


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

    What SQL widened beside the limit is put back: a resume opens nothing that no apply has opened.

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
        Refused: a freeze holds it, or what SQL widened cannot be reverted here.
    """
    overridden: list[FreezeOverridden] = []

    def lift_limits(connection: DriverConnection) -> Acted:
        require_newest(connection)
        found = lock_feature(connection, feature)
        cause = cause_of_person(found, by, reason, seen)
        act = lift(found.standing)
        in_force = found.standing.in_force
        reverted: tuple[Drift, ...] = ()
        overridden.clear()
        if act is not None:
            # Imported here: a stop does not wait for what reads the lists.
            from reconciler.operations.widened_by_hand import read_widened, write_reverted

            widened = read_widened(connection, feature, act.after)
            reverted = widened.reverted
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
            if reverted:
                history = HistoryWriter(connection, found.generation, cause)
                write_reverted(connection, feature, widened, act.after, history)
        return Acted(feature, act, None if act is not None else in_force, found.now, reverted)

    acted = write_transaction(database, lift_limits)
    for each in overridden:
        emit(each)
    return acted


def hold_of_resume(connection: "AnyConnection", feature: str, act: Act) -> "Hold | None":
    """Return the freeze that holds a feature now, if repositories gain it by a resume."""
    from reconciler.database.freezes import read_applied_freezes

    return read_applied_freezes(connection).hold(feature) if act.widens else None


def impose_limit(
    connection: DriverConnection,
    found: FoundFeature,
    limit: Limit,
    action: Action,
    cause: HistoryCause,
) -> Acted:
    """Limit a locked feature, in the caller's transaction; return the effect."""
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
