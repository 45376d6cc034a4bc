"""Stop, rollback and resume: their effect, and writing them to the database.

The database comes first: after the commit of `change_limit` every client uses the new limit. The
write-back to git follows in `write_back`.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import uuid4

from reconciler.database.override_actions import read_feature
from reconciler.database.schema import require_newest
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.errors import ReconcilerError, Unavailable
from reconciler.operations import safeguard
from reconciler.operations.listeners import Emit, emit_to_no_listener
from reconciler.operations.safeguard import Acted
from reconciler.operations.seen import SeenBy, version_of
from reconciler.planning.override_actions import Act, impose, lift
from reconciler.rollout_file.override import Override

if TYPE_CHECKING:
    from reconciler.database.override_actions import FoundFeature
    from reconciler.planning.blast_radius import BlastRadius
    from reconciler.planning.drift import Drift
    from reconciler.planning.freezes import Hold


@dataclass(frozen=True, slots=True)
class Stop:
    """Make no repository eligible."""


@dataclass(frozen=True, slots=True)
class RollBack:
    """Lower the percentage."""

    to: Decimal


@dataclass(frozen=True, slots=True)
class Resume:
    """Lift every limit."""

    allows_freeze: bool = False
    """Whether also while a freeze holds the feature."""


LimitChange = Stop | RollBack | Resume


@dataclass(frozen=True, slots=True)
class Changed:
    """The change, and the number of repositories that have the feature after it."""

    acted: Acted
    eligible: int | None
    """None if they could not be counted; the change took place all the same."""
    total: int | None
    problem: str | None = None
    """Why they could not be counted."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The present effect of a change of the limit."""

    act: Act | None
    """None if it would change nothing."""
    in_force: Override | None
    """The override now in force."""
    version: str
    """The version of the state that was read (`version_of`)."""
    effect: "BlastRadius | None"
    """None if it could not be counted in time."""
    hold: "Hold | None" = None
    """The freeze that holds the feature now, of a change that it refuses."""
    reverted: "tuple[Drift, ...]" = ()
    """What SQL widened beside the limit, and a resume puts back."""


def forecast(database: Database, feature: str, change: LimitChange) -> Forecast:
    """Return the present effect of a stop, rollback or resume; writes nothing.

    Raises:
        NotFound: there is no such feature.
        Refused: as `change_limit` would be.
    """
    from reconciler.database.blast_radius import measure_blast_radius
    from reconciler.database.live_state import read_configurations
    from reconciler.operations.widened_by_hand import WidenedByHand, read_widened

    with read_only_transaction(database) as connection:
        require_newest(connection)
        found = read_feature(connection, feature)
        act = _act(found, change)
        if act is not None and isinstance(change, Resume):
            widened = read_widened(connection, feature, act.after)
        else:
            widened = WidenedByHand(read_configurations(connection)[feature])
        live = widened.live
        after = live if act is None else widened.after(act.after)
        hold = None
        if act is not None and isinstance(change, Resume) and not change.allows_freeze:
            hold = safeguard.hold_of_resume(connection, feature, act)
    try:
        with read_only_transaction(database) as connection:
            effect = measure_blast_radius(
                connection,
                feature,
                live.targeting,
                after.targeting,
                unmarked=tuple(widened.unmarked or ()),
            )
    except Unavailable:
        effect = None
    return Forecast(act, found.standing.in_force, version_of(found), effect, hold, widened.reverted)


def change_limit(
    database: Database,
    feature: str,
    change: LimitChange,
    *,
    by: str,
    reason: str,
    seen: SeenBy | None = None,
    emit: Emit = emit_to_no_listener,
    counted_in: Database | None = None,
) -> Changed:
    """Stop, roll back or resume a feature, at once; return what was done.

    With `seen`, only if the feature has not changed since the person saw it. `counted_in` counts the
    repositories afterwards, such as with another limit of time.

    Raises:
        Moved: it is not.
        NotFound: there is no such feature.
        Refused: a narrower limit is in force, the percentage excludes no repository, or a freeze holds.
    """
    match change:
        case Stop():
            acted = safeguard.stop(database, feature, by=by, reason=reason, seen=seen)
        case RollBack(to):
            acted = safeguard.roll_back(database, feature, to, by=by, reason=reason, seen=seen)
        case Resume(allows_freeze):
            acted = safeguard.resume(
                database,
                feature,
                by=by,
                reason=reason,
                seen=seen,
                allows_freeze=allows_freeze,
                emit=emit,
            )
    # Imported after the commit: a stop does not wait for it.
    from reconciler.database.eligibility import read_participation

    try:
        with read_only_transaction(counted_in or database) as connection:
            participation = read_participation(connection, feature)
    except ReconcilerError as error:
        return Changed(acted, None, None, str(error))
    return Changed(acted, participation.eligible, participation.total)


def _act(found: "FoundFeature", change: LimitChange) -> Act | None:
    match change:
        case Stop():
            return impose(found.standing, _imagined(None, found.now))
        case RollBack(to):
            return impose(found.standing, _imagined(to, found.now))
        case Resume():
            return lift(found.standing)


def _imagined(percentage: Decimal | None, now: datetime) -> Override:
    is_stop = True if percentage is None else None
    return Override(
        id=uuid4(), percentage=percentage, emergency_stop=is_stop, reason="-", by="-", at=now
    )
