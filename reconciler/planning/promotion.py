"""Promotion: whether a feature may go on to its next stage, what is missing, and when that will hold.

The rules are those of an apply: what the guards find in the plan of the promoted file is missing. Beside
them nothing may limit the feature, and what the file says already has to be applied.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from reconciler.planning.changes import ScalarChange
from reconciler.planning.guard_names import GuardName
from reconciler.planning.plan import FeatureAction, FeaturePlan, Plan
from reconciler.planning.progression import (
    StageNotSoaked,
    current_stage,
    next_stage,
    show_next_second,
)
from reconciler.rollout_file.model import Feature, Override, Stage
from reconciler.wording import show_number


@dataclass(frozen=True, slots=True)
class Step:
    """One rise, from a percentage to the stage over it."""

    before: Decimal
    stage: Stage
    number: int
    """Of the stage, from 1."""
    stages: int
    """How many the progression has."""


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing that does not hold yet."""

    message: str
    holds_at: datetime | None = None
    """When it will, where time alone brings it."""


def next_step(feature: Feature) -> Step | None:
    """Return the rise that comes next; None without a progression, and from its last stage on."""
    stage = next_stage(feature.progression, feature.percentage)
    if stage is None:
        return None
    number = feature.progression.index(stage) + 1
    return Step(feature.percentage, stage, number, len(feature.progression))


def why_no_step(feature: Feature) -> str:
    """Say why a feature has no next stage."""
    if not feature.progression:
        return "there is no progression in the file, so there is no next stage"
    last = current_stage(feature.progression, feature.percentage)
    assert last is not None  # noqa: S101 - over all stages it is over one
    return (
        f"the last stage is reached: {show_number(feature.percentage)} of "
        f"{show_number(last.percentage)}"
    )


def missing_for(feature: Feature, current: FeaturePlan, promoted: Plan) -> tuple[Missing, ...]:
    """Return what keeps a feature from its next stage; nothing where it may go on.

    Args:
        feature: as the file has it.
        current: what an apply of the file as it is does to the feature.
        promoted: what an apply of the file with the next stage does.
    """
    return tuple(_missing(feature, current, promoted))


def _missing(feature: Feature, current: FeaturePlan, promoted: Plan) -> Iterator[Missing]:
    if not feature.active:
        yield Missing("the feature is not active: set active: true, and apply that")
    if _is_pending(current):
        yield Missing("what the file says already is not applied yet: apply it first")
        return
    if current.overrides.in_force is not None:
        yield Missing(_limited(current.overrides.in_force))
    if current.is_held:
        yield Missing("drift holds every apply: look at it with reconcile drift")
    (planned,) = (each for each in promoted.features if each.name == current.name)
    for finding in planned.findings:
        if finding.guard is GuardName.SOAK:
            holds_at = finding.holds_at if isinstance(finding, StageNotSoaked) else None
            yield Missing(finding.message, holds_at)
        elif finding.guard not in promoted.allowed:
            yield Missing(f"the guard {finding.guard} refuses: {finding.message}")


def _is_pending(current: FeaturePlan) -> bool:
    """Tell whether an apply of the file as it is would open the feature as far as it says, or resume it."""
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
    return f"an override {limit} since {show_next_second(override.at)}; once all is well: reconcile resume"
