"""Promotion: whether a feature may go to its next stage, the missing conditions, and when they will hold.

The rules are those of an apply: the findings of the guards in the plan of the promoted file are
missing conditions. In addition no override may limit the feature, and the present file must be applied.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from reconciler.planning.changes import ScalarChange
from reconciler.planning.guard_names import GuardName
from reconciler.planning.guards import Finding
from reconciler.planning.plan import FeatureAction, FeaturePlan, Plan
from reconciler.planning.stages import StageNotSoaked, current_stage, next_stage, show_next_second
from reconciler.rollout_file.model import Feature, Stage
from reconciler.rollout_file.override import Override
from reconciler.wording import show_number


@dataclass(frozen=True, slots=True)
class Step:
    """One increase, from a percentage to the next stage."""

    before: Decimal
    stage: Stage
    number: int
    """The number of the stage, from 1."""
    stages: int
    """The number of stages."""


@dataclass(frozen=True, slots=True)
class Missing:
    """One missing condition."""

    message: str
    holds_at: datetime | None = None
    """The time at which it will hold, if it needs only time."""


def next_step(feature: Feature) -> Step | None:
    """Return the next increase; None without a progression, and from its last stage on."""
    stage = next_stage(feature.progression, feature.percentage)
    if stage is None:
        return None
    number = feature.progression.index(stage) + 1
    return Step(feature.percentage, stage, number, len(feature.progression))


def why_no_step(feature: Feature) -> str:
    """Return why a feature has no next stage."""
    if not feature.progression:
        return "there is no progression in the file, so there is no next stage"
    last = current_stage(feature.progression, feature.percentage)
    assert last is not None  # noqa: S101 - over all stages it is over one
    return (
        f"the last stage is reached: {show_number(feature.percentage)} of "
        f"{show_number(last.percentage)}"
    )


def missing_for(feature: Feature, current: FeaturePlan, promoted: Plan) -> tuple[Missing, ...]:
    """Return the missing conditions for a feature's next stage; none if it may be promoted.

    Args:
        feature: as the file has it.
        current: the effect of an apply of the present file on the feature.
        promoted: the effect of an apply of the file with the next stage.
    """
    return tuple(_missing(feature, current, promoted))


def _missing(feature: Feature, current: FeaturePlan, promoted: Plan) -> Iterator[Missing]:
    if not feature.active:
        yield Missing("the feature is not active: set active: true and apply it")
    if _is_pending(current):
        yield Missing("the present file is not applied yet: apply it first")
        return
    if current.overrides.in_force is not None:
        yield Missing(_limited(current.overrides.in_force))
    if current.is_held:
        yield Missing("held drift blocks every apply: see reconcile drift")
    (planned,) = (each for each in promoted.features if each.name == current.name)
    for finding in planned.findings:
        yield from _missing_by(finding, feature, promoted.allowed_for(current.name))


def _missing_by(
    finding: Finding, feature: Feature, allowed: Collection[GuardName]
) -> Iterator[Missing]:
    if isinstance(finding, StageNotSoaked):
        # An inactive feature does not soak, so the end of its soak is unknown.
        if feature.active:
            yield Missing(finding.message, finding.holds_at)
    elif finding.guard is GuardName.SOAK:
        yield Missing(finding.message)
    elif finding.guard in allowed:
        return
    elif finding.holds_at is not None:
        yield Missing(finding.message, finding.holds_at)
    else:
        yield Missing(f"the guard {finding.guard} refuses: {finding.message}")


def _is_pending(current: FeaturePlan) -> bool:
    """Return whether the present file still has to be applied: its percentage, its switch, or a resume."""
    if current.action is FeatureAction.CREATE or current.overrides.resumed:
        return True
    return any(
        isinstance(change, ScalarChange) and change.field.name in {"percentage", "active"}
        for change in current.changes
    )


def _limited(override: Override) -> str:
    limit = (
        "stops it"
        if override.percentage is None
        else (f"limits it to {show_number(override.percentage)}")
    )
    since = show_next_second(override.at)
    return f"an override {limit} since {since}; when the cause is fixed: reconcile resume"
