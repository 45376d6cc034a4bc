"""Jobs over time, with marks of the acts of people and of the safeguard: the values of charts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.planning.evidence import WINDOW
from reconciler.planning.history import Action


@dataclass(frozen=True, slots=True)
class HourOfJobs:
    """The jobs of a feature's judged processor in one hour."""

    begins_at: datetime
    jobs: int
    errors: int


@dataclass(frozen=True, slots=True)
class WindowOfJobs:
    """The jobs of one processor in five minutes."""

    begins_at: datetime
    processor: str
    jobs: int
    errors: int


class MarkKind(StrEnum):
    """The subject of a mark on a time axis."""

    APPLY = "apply"
    ROLLBACK = "rollback"
    RESUME = "resume"
    PROMOTION = "promotion"

    @property
    def words(self) -> str:
        """The kind in words."""
        match self:
            case MarkKind.APPLY:
                return "apply"
            case MarkKind.ROLLBACK:
                return "rollback or stop"
            case MarkKind.RESUME:
                return "resume"
            case MarkKind.PROMOTION:
                return "raise of the percentage"


@dataclass(frozen=True, slots=True)
class Mark:
    """One apply, rollback, resume or promotion."""

    at: datetime
    kind: MarkKind
    summary: str
    """What changed, and the person."""


@dataclass(frozen=True, slots=True)
class JobSeries:
    """The jobs of a feature in a period."""

    processor: str
    """The processor whose jobs are judged."""
    fallback: str
    """The processor of the baseline."""
    begins_at: datetime
    ends_at: datetime
    windows: Sequence[WindowOfJobs]
    """In order of time; a processor without a job in a window has none."""
    marks: Sequence[Mark] = ()
    """In order of time."""

    @property
    def window(self) -> timedelta:
        """The length of a window."""
        return WINDOW

    def of(self, processor: str) -> tuple[WindowOfJobs, ...]:
        """Return the windows of one processor."""
        return tuple(each for each in self.windows if each.processor == processor)


_ROLLBACKS = frozenset(
    {
        Action.AUTO_ROLLBACK,
        Action.ROLLBACK,
        Action.EMERGENCY_STOP,
        Action.EMERGENCY_ROLLBACK,
        Action.RESTORED,
    }
)


def mark_kind(action: str, *, is_raised: bool) -> MarkKind:
    """Return the kind of mark for a row of history.

    Args:
        action: the row's action.
        is_raised: whether the row raised the percentage of the feature.
    """
    if action in _ROLLBACKS:
        return MarkKind.ROLLBACK
    if action == Action.RESUMED:
        return MarkKind.RESUME
    if action == Action.PERCENTAGE_CHANGED and is_raised:
        return MarkKind.PROMOTION
    return MarkKind.APPLY
