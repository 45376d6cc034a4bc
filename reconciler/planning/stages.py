"""The stages of a progression: which one must soak, and the guards of an increase."""

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
from reconciler.rollout_file.start_time import format_start_time
from reconciler.wording import show_number, show_time


@dataclass(frozen=True, slots=True)
class Soaking:
    """The health and soak of a feature at its stage."""

    now: datetime
    """By the database's clock, like `reached_at`."""
    reached_at: datetime
    """Since when the stage soaks: a rollback, a resume and any override restart it."""
    health: Health
    inactive_for: timedelta = timedelta(0)
    """How long the feature was inactive since then: that time does not count."""

    def is_over(self, soak: timedelta) -> bool:
        """Return whether the stage was live for a time."""
        return self.now - self.reached_at - self.inactive_for >= soak


@dataclass(frozen=True, slots=True)
class StageSkipped(Finding):
    """The percentage increases past a stage that was not live."""

    guard: ClassVar = GuardName.SOAK
    before: Decimal
    after: Decimal
    next_stage: Decimal

    @property
    def message(self) -> str:
        """The stage that comes first."""
        stage = show_number(self.next_stage)
        return f"{_rise(self.before, self.after)} skips stage {stage}, which comes first"


@dataclass(frozen=True, slots=True)
class StageNotSoaked(Finding):
    """The stage has not soaked long enough."""

    guard: ClassVar = GuardName.SOAK
    before: Decimal
    after: Decimal
    stage: Stage
    reached_at: datetime
    inactive_for: timedelta = timedelta(0)

    @property
    def message(self) -> str:
        """When the stage was reached, and the time until which it soaks."""
        inactive = _whole_seconds(self.inactive_for)
        beside = f", and {format_duration(inactive)} inactive" if inactive else ""
        return (
            f"{_rise(self.before, self.after)}: stage {show_number(self.stage.percentage)} "
            f"reached {show_next_second(self.reached_at)}; soaks until "
            f"{show_next_second(self.holds_at)} ({format_duration(self.stage.soak)}{beside})"
        )

    @property
    def holds_at(self) -> datetime:
        """The end of the soak if the stage stays live until then; rounded up to a whole second."""
        return _next_second(self.reached_at + self.inactive_for + self.stage.soak)


@dataclass(frozen=True, slots=True)
class StageNotBegun(Finding):
    """The stage has a date, and it is in the future."""

    guard: ClassVar = GuardName.NOT_BEFORE
    before: Decimal
    after: Decimal
    stage: Stage
    date: datetime
    """The date of the stage, in UTC."""

    @property
    def message(self) -> str:
        """The stage and its date."""
        stage = show_number(self.stage.percentage)
        written = "" if self.stage.not_before is None else format_start_time(self.stage.not_before)
        zone = "" if self.stage.zone is None else f" ({written} {self.stage.zone})"
        return (
            f"{_rise(self.before, self.after)}: stage {stage} does not begin before "
            f"{show_time(self.date)}{zone}"
        )

    @property
    def holds_at(self) -> datetime:
        """The date of the stage."""
        return self.date


@dataclass(frozen=True, slots=True)
class StageLimited(Finding):
    """An override limits the feature, or did until this apply: the stage does not soak."""

    guard: ClassVar = GuardName.SOAK
    before: Decimal
    after: Decimal
    stage: Stage

    @property
    def message(self) -> str:
        """The time from which the stage soaks."""
        return (
            f"{_rise(self.before, self.after)}: an override limits stage "
            f"{show_number(self.stage.percentage)}; after the resume it soaks for "
            f"{format_duration(self.stage.soak)}"
        )


@dataclass(frozen=True, slots=True)
class HealthNotPassing(Finding):
    """The feature's verdict is not a pass."""

    guard: ClassVar = GuardName.SOAK
    before: Decimal
    after: Decimal
    health: Health

    @property
    def message(self) -> str:
        """The verdict, with its metrics."""
        verdict = self.health.judgement.verdict
        return f"{_rise(self.before, self.after)}: the verdict is {verdict}, {self.health.sentence}"


def current_stage(progression: Sequence[Stage], percentage: Decimal) -> Stage | None:
    """Return the highest stage at or below a percentage; None below the first."""
    reached = [stage for stage in progression if stage.percentage <= percentage]
    return reached[-1] if reached else None


def next_stage(progression: Sequence[Stage], percentage: Decimal) -> Stage | None:
    """Return the lowest stage above a percentage; None from the last one on."""
    return next((stage for stage in progression if stage.percentage > percentage), None)


def stage_to_hold(
    before: Decimal | None, after: Decimal, progression: Sequence[Stage]
) -> Stage | None:
    """Return the stage that must soak before the percentage increases from `before` to `after`.

    None if it does not increase, or if no stage was reached yet: an increase up to the first stage
    needs no soak.
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
    """Refuse an increase that skips a stage, comes before the end of the soak, or has no passing verdict.

    Args:
        before: the desired percentage until now; None for a new feature.
        after: the desired percentage from now on.
        progression: the feature's, as the file has it.
        soaking: the health and soak at the stage that must soak (`stage_to_hold`).
        is_limited: whether an override is in force, or ends with this apply.
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
    elif not soaking.is_over(stage.soak):
        yield StageNotSoaked(base, after, stage, soaking.reached_at, soaking.inactive_for)
    if soaking.health.judgement.verdict is not Verdict.PASS:
        yield HealthNotPassing(base, after, soaking.health)


def guard_start(
    before: Decimal | None,
    after: Decimal,
    progression: Sequence[Stage],
    now: datetime | None,
) -> Iterator[Finding]:
    """Refuse an increase into a stage before its date.

    A percentage between two stages belongs to the higher one.

    Args:
        before: the desired percentage until now; None for a new feature.
        after: the desired percentage from now on.
        progression: the feature's, as the file has it.
        now: the database's time; None without a database, where no date is judged.
    """
    base, lower = before or Decimal(0), Decimal(0)
    for stage in progression:
        date = stage.begins_after
        is_entered = base < stage.percentage and after > max(base, lower)
        if is_entered and date is not None and now is not None and now < date:
            yield StageNotBegun(base, after, stage, date)
        lower = stage.percentage


def _rise(before: Decimal, after: Decimal) -> str:
    return f"percentage {show_number(before)} → {show_number(after)}"


def show_next_second(moment: datetime) -> str:
    """Return a time in UTC, rounded up to a whole second, so that the printed time is never too early."""
    return show_time(_next_second(moment))


def _whole_seconds(duration: timedelta) -> timedelta:
    return timedelta(seconds=duration // timedelta(seconds=1))


def _next_second(moment: datetime) -> datetime:
    return moment + timedelta(microseconds=-moment.microsecond % 1_000_000)
