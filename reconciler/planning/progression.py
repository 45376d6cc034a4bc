"""Progression: a percentage rises stage by stage, each held for its time and in good health.

The guard `soak` refuses what rises otherwise, a finding for each thing that is missing. It never stands
against narrowing, nor against a feature without a progression.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from reconciler.planning.guard_names import GuardName
from reconciler.planning.guards import Finding
from reconciler.planning.health import Health, Verdict
from reconciler.rollout_file.durations import format_duration
from reconciler.rollout_file.model import Stage
from reconciler.wording import show_number, show_time


@dataclass(frozen=True, slots=True)
class Soaking:
    """How a feature does at its stage."""

    now: datetime
    """By the database's clock, as `reached_at` is."""
    reached_at: datetime
    """Since when the stage holds: a rollback, a resume, any override starts it anew."""
    health: Health


@dataclass(frozen=True, slots=True)
class StageSkipped:
    """The percentage rises over a stage that it did not hold."""

    guard: ClassVar = GuardName.SOAK
    before: Decimal
    after: Decimal
    next_stage: Decimal

    @property
    def message(self) -> str:
        """Say which stage comes first."""
        stage = show_number(self.next_stage)
        return f"{_rise(self.before, self.after)} skips the stage {stage}: that comes first"


@dataclass(frozen=True, slots=True)
class StageNotSoaked:
    """The stage did not hold for its time yet."""

    guard: ClassVar = GuardName.SOAK
    before: Decimal
    after: Decimal
    stage: Stage
    reached_at: datetime

    @property
    def message(self) -> str:
        """Say since when it holds, for how long it has to, and when that will be."""
        return (
            f"{_rise(self.before, self.after)}: the stage {show_number(self.stage.percentage)} holds "
            f"since {show_next_second(self.reached_at)} and has to for {format_duration(self.stage.soak)}, "
            f"until {show_next_second(self.holds_at)}"
        )

    @property
    def holds_at(self) -> datetime:
        """When it will have held, if nothing comes in between: a whole second, and surely so then."""
        return _next_second(self.reached_at + self.stage.soak)


@dataclass(frozen=True, slots=True)
class StageLimited:
    """An override limits the feature, or did until this apply: the stage does not hold."""

    guard: ClassVar = GuardName.SOAK
    before: Decimal
    after: Decimal
    stage: Stage

    @property
    def message(self) -> str:
        """Say from when on the stage will hold."""
        return (
            f"{_rise(self.before, self.after)}: an override limits the stage "
            f"{show_number(self.stage.percentage)}, which has to hold for "
            f"{format_duration(self.stage.soak)} from the resume on"
        )


@dataclass(frozen=True, slots=True)
class HealthNotPassing:
    """The feature's verdict is no pass."""

    guard: ClassVar = GuardName.SOAK
    before: Decimal
    after: Decimal
    health: Health

    @property
    def message(self) -> str:
        """Say the verdict, with its figures."""
        verdict = self.health.judgement.verdict
        return f"{_rise(self.before, self.after)}: the verdict is {verdict}, {self.health.sentence}"


def current_stage(progression: Sequence[Stage], percentage: Decimal) -> Stage | None:
    """Return the highest stage that a percentage has reached; None below the first."""
    reached = [stage for stage in progression if stage.percentage <= percentage]
    return reached[-1] if reached else None


def next_stage(progression: Sequence[Stage], percentage: Decimal) -> Stage | None:
    """Return the lowest stage over a percentage; None from the last on."""
    return next((stage for stage in progression if stage.percentage > percentage), None)


def stage_to_hold(
    before: Decimal | None, after: Decimal, progression: Sequence[Stage]
) -> Stage | None:
    """Return the stage that has to have held before the percentage rises, as it is about to.

    None where it does not rise, or starts: up to the first stage it is free.
    """
    if before is None or after <= before:
        return None
    return current_stage(progression, before)


def guard_soak(
    before: Decimal | None,
    after: Decimal,
    progression: Sequence[Stage],
    soaking: Soaking | None,
    *,
    is_limited: bool,
) -> Iterator[Finding]:
    """Refuse a rise that skips a stage, comes before the stage has soaked, or without a pass.

    Args:
        before: the percentage that people meant until now; None for a new feature.
        after: the one that they mean from now on.
        progression: the feature's, as the file has it.
        soaking: how the feature does, where a stage has to have held (`stage_to_hold`).
        is_limited: whether an override is in force, or ends with this very apply.
    """
    base = Decimal(0) if before is None else before
    if after <= base:
        return
    following = next_stage(progression, base)
    if following is not None and after > following.percentage:
        yield StageSkipped(base, after, following.percentage)
    stage = stage_to_hold(before, after, progression)
    if stage is None or soaking is None:
        return
    if is_limited:
        yield StageLimited(base, after, stage)
    elif soaking.now < soaking.reached_at + stage.soak:
        yield StageNotSoaked(base, after, stage, soaking.reached_at)
    if soaking.health.judgement.verdict is not Verdict.PASS:
        yield HealthNotPassing(base, after, soaking.health)


def _rise(before: Decimal, after: Decimal) -> str:
    return f"percentage {show_number(before)} → {show_number(after)}"


def show_next_second(moment: datetime) -> str:
    """Return a time in UTC, rounded up to a whole second: what has to be over is over then."""
    return show_time(_next_second(moment))


def _next_second(moment: datetime) -> datetime:
    return moment + timedelta(microseconds=-moment.microsecond % 1_000_000)
