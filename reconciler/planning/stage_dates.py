"""The stages of a feature with their dates: which one is live, how long it soaks, when each may come.

Each date is the earliest possible one: it assumes that nothing limits the feature, and that its
verdict passes at the end of each soak.
It is not before the date of the stage itself, and not in a freeze.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.planning.freezes import find_hold
from reconciler.planning.stages import Soaking, current_stage, next_stage
from reconciler.rollout_file.freezes import Freeze
from reconciler.rollout_file.model import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator


class StageState(StrEnum):
    """The state of a stage in the rollout."""

    DONE = "done"
    CURRENT = "current"
    COMING = "coming"


@dataclass(frozen=True, slots=True)
class StageDate:
    """One stage, with its dates."""

    percentage: Decimal
    soak: timedelta
    state: StageState
    may_come_at: datetime | None
    """The earliest date of a coming stage; None if a condition other than time is missing."""
    soak_left: timedelta | None
    """How long the current stage still soaks; None for other stages, and while nothing soaks."""


def list_stage_dates(
    progression: Sequence[Stage],
    percentage: Decimal,
    soaking: Soaking | None,
    now: datetime,
    freezes: Sequence[Freeze] = (),
) -> tuple[StageDate, ...]:
    """Return every stage of a progression with its state and its dates.

    Args:
        progression: the feature's, as the last applied file has it.
        percentage: the desired percentage of the feature.
        soaking: since when the current stage soaks; None where it does not soak, because the feature is
            limited, inactive or stopped.
        now: the database's time.
        freezes: those that hold the feature.
    """
    return tuple(_dates(progression, percentage, soaking, now, freezes))


def earliest_begin(stage: Stage, at: datetime, freezes: Sequence[Freeze]) -> datetime:
    """Return the first moment from a time on at which a stage may begin, by its date and by freezes.

    `freezes` are those that hold its feature.
    """
    date = stage.begins_after
    at = at if date is None else max(at, date)
    hold = find_hold(freezes, at)
    return at if hold is None else hold.until


def _dates(
    progression: Sequence[Stage],
    percentage: Decimal,
    soaking: Soaking | None,
    now: datetime,
    freezes: Sequence[Freeze],
) -> "Iterator[StageDate]":
    current = current_stage(progression, percentage)
    following = next_stage(progression, percentage)
    # An increase up to the first stage needs no soak.
    at: datetime | None = now if current is None else None
    for stage in progression:
        if stage is current:
            left = None
            if soaking is not None:
                ends_at = soaking.reached_at + soaking.inactive_for + stage.soak
                left = max(timedelta(0), ends_at - now)
                at = max(now, ends_at)
            yield StageDate(stage.percentage, stage.soak, StageState.CURRENT, None, left)
        elif following is None or stage.percentage < following.percentage:
            yield StageDate(stage.percentage, stage.soak, StageState.DONE, None, None)
        else:
            at = None if at is None else earliest_begin(stage, at, freezes)
            yield StageDate(stage.percentage, stage.soak, StageState.COMING, at, None)
            at = None if at is None else at + stage.soak
