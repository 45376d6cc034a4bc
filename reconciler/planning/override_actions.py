"""Actions at once: the result of setting an override on a feature, or of ending it, in the database.

They use no file and no plan. The inputs are the live feature, its last applied state and the rows
of its overrides. The results are the new live state and the rows to write. The rules are "The life
of an override" in the safeguard's contract.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

from reconciler.errors import Refused
from reconciler.planning.exposure import Exposure, Limit
from reconciler.planning.overrides import (
    KEPT_BY,
    OverrideState,
    StoredOverride,
    effective,
    is_narrower,
    narrow,
)
from reconciler.rollout_file.override import Override
from reconciler.wording import describe_limit, show_number
from rollout_client.targeting.strategy import Strategy

if TYPE_CHECKING:
    from reconciler.planning.health import Health

AUTO_ROLLBACK: Final = "auto-rollback"
"""The author of the overrides that the safeguard sets."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One feature at the moment of an act."""

    live: Exposure
    desired: Exposure
    """The last applied state, with no override in force."""
    strategy: Strategy
    overrides: Sequence[StoredOverride] = ()

    @property
    def in_force(self) -> Override | None:
        """The override that is on."""
        return next((row.override for row in self.overrides if row.state is OverrideState.ON), None)


@dataclass(frozen=True, slots=True)
class RollbackSettings:
    """The file's settings for the safeguard."""

    auto_rollback: bool
    rollback_to: Decimal
    """The percentage after a rollback."""


@dataclass(frozen=True, slots=True)
class Act:
    """What to write: the exposure before and after, and the new rows."""

    before: Exposure
    after: Exposure
    written: tuple[StoredOverride, ...]
    """Empty if the limit in force is only enforced again, or if a resume ends a limit that only SQL set."""

    @property
    def widens(self) -> bool:
        """Whether repositories may gain the feature."""
        if self.after.emergency_stop or not self.after.active:
            return False
        was_off = self.before.emergency_stop or not self.before.active
        return was_off or self.after.percentage > self.before.percentage


def restore(standing: Standing) -> Act | None:
    """Return the act that enforces the limit in force again; None if live does not exceed it.

    A person changed the live state by SQL; that is not a resume.
    """
    in_force, live = standing.in_force, standing.live
    if in_force is None or live.emergency_stop:
        return None
    limited = narrow(live, in_force)
    if limited == live:
        return None
    after = replace(limited, percentage=min(limited.percentage, standing.desired.percentage))
    return Act(before=live, after=after, written=())


def impose(standing: Standing, override: Override) -> Act | None:
    """Return the effect of a new override; None if one as narrow is in force and live obeys it.

    If one as narrow is in force but live exceeds it, it is enforced again without a new override.

    Raises:
        Refused: a narrower one is in force, or the limit would exclude no repository.
    """
    in_force = standing.in_force
    if in_force is not None and not is_narrower(override, in_force):
        restored = restore(standing)
        if restored is None and is_narrower(in_force, override):
            raise Refused(
                f"{describe_limit(in_force.percentage)} is in force, which allows less; nothing was written; "
                "to allow more: reconcile resume"
            )
        return restored
    if override.percentage is not None:
        _refuse_without_effect(standing, override.percentage)
    return _put_in_force(standing, override)


def put_back(standing: Standing, override: Override) -> Act | None:
    """Return the effect of an override that the database lost; None if nothing is to be put back.

    A row with its id shows that the database did not lose it; a person may have resumed it. The limit
    is written also where it excludes no repository now: the next apply may raise the percentage.
    """
    in_force = standing.in_force
    is_known = any(row.id == override.id for row in standing.overrides)
    if is_known or (in_force is not None and not is_narrower(override, in_force)):
        return None
    return _put_in_force(standing, override)


def _put_in_force(standing: Standing, override: Override) -> Act:
    superseded = (
        replace(row, state=OverrideState.DONE, superseded_by=override.id)
        for row in standing.overrides
        if row.state is OverrideState.ON
    )
    return Act(
        before=standing.live,
        after=narrow(standing.live, override),
        written=(*superseded, StoredOverride(override, OverrideState.ON)),
    )


def lift(standing: Standing) -> Act | None:
    """Return the effect of a resume; None if nothing limits the feature.

    The override that is on ends together with all that it superseded, in a chain. So the feature
    resumes completely, with any of their blocks in git. A limit that was set by SQL ends too.
    """
    in_force = standing.in_force
    off = (
        frozenset[UUID]() if in_force is None else with_superseded(in_force.id, standing.overrides)
    )
    after = effective(standing.desired, None, standing.live)
    written = tuple(
        replace(row, state=OverrideState.OFF) for row in standing.overrides if row.id in off
    )
    if not written and not _is_narrowed(standing.live, after):
        return None
    return Act(before=standing.live, after=after, written=written)


def automatic_limit(
    standing: Standing, settings: RollbackSettings, health: "Health", since: "Health"
) -> Limit | None:
    """Return the limit that the safeguard sets on a feature; None if it does nothing.

    It rolls back if that narrows. Otherwise it stops: under the strategy `whitelist`, at or below
    the percentage of a rollback, and if jobs fail again after an automatic rollback. Under an
    override only jobs since then count, whether the safeguard or a person set it. But under an
    override that keeps a live change, jobs from before it count too.

    Args:
        standing: the feature.
        settings: the file's settings for the safeguard.
        health: the feature's health.
        since: its health since the override in force; without one the same.
    """
    is_closed = standing.live.emergency_stop or not standing.live.active
    if not settings.auto_rollback or is_closed:
        return None
    in_force = standing.in_force
    if in_force is None:
        fails, most = _fails(health), standing.desired.percentage
    elif in_force.percentage is None:
        return None
    else:
        fails = _fails(since) and since.period.begin >= in_force.at
        most = min(in_force.percentage, standing.desired.percentage)
    can_help = (
        standing.strategy is not Strategy.WHITELIST
        and settings.rollback_to < most
        and (in_force is None or in_force.by != AUTO_ROLLBACK)
    )
    if in_force is not None and in_force.by == KEPT_BY and can_help:
        fails = fails or _fails(health)
    if not fails:
        return None
    return Limit(settings.rollback_to if can_help else None)


def _fails(health: "Health") -> bool:
    # A stop by a person does not wait for what judges health.
    from reconciler.planning.health import Verdict

    return health.judgement.verdict is Verdict.FAIL


def with_superseded(override: UUID, rows: Sequence[StoredOverride]) -> frozenset[UUID]:
    """Return an override and all overrides that it replaced, in a chain."""
    found = frozenset({override})
    while more := {row.id for row in rows if row.superseded_by in found} - found:
        found |= more
    return found


def _refuse_without_effect(standing: Standing, percentage: Decimal) -> None:
    if standing.strategy is Strategy.WHITELIST:
        raise Refused(
            "the strategy is whitelist, which no percentage limits; nothing was written; "
            "to exclude every repository: reconcile stop"
        )
    live = standing.live
    # Live is wider than the file if SQL raised it, and the message must not deny that.
    widest = standing.desired.percentage
    if not live.emergency_stop:
        widest = max(widest, live.percentage)
    if percentage >= widest:
        raise Refused(
            f"the percentage is {show_number(widest)}, "
            f"so {show_number(percentage)} is not a rollback; nothing was written; "
            "to raise it, change the file"
        )


def _is_narrowed(live: Exposure, desired: Exposure) -> bool:
    return (
        (live.emergency_stop and not desired.emergency_stop)
        or (desired.active and not live.active)
        or live.percentage < desired.percentage
    )
