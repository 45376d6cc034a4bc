"""What a watcher tells: a value for each thing that happened. How it reads is its teller's."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from reconciler.operations.safeguard import Acted
from reconciler.operations.write_back_pass import WrittenBack
from reconciler.planning.plan import Plan


class Subject(StrEnum):
    """What can fail while all else goes on."""

    TICK = "tick"
    """Judging and rolling back: the database, most of the time."""
    WRITE_BACK = "write-back"
    FOLLOW = "follow"


@dataclass(frozen=True, slots=True)
class BecameActive:
    """This watcher holds the lease now."""


@dataclass(frozen=True, slots=True)
class StandsBy:
    """Another watcher holds the lease."""

    holder: str


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A failing feature was limited."""

    acted: Acted
    error_rate: float | None
    jobs: int
    errors: int


@dataclass(frozen=True, slots=True)
class WroteBack:
    """What became of an override that git did not have."""

    remote: str | None
    branch: str | None
    carried: WrittenBack


@dataclass(frozen=True, slots=True)
class Applied:
    """A commit of the followed branch was applied."""

    commit: str
    plan: Plan
    generation: int


@dataclass(frozen=True, slots=True)
class NotApplied:
    """A commit of the followed branch cannot be applied, or not yet."""

    commit: str
    why: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Something fails from now on, and is tried again."""

    subject: Subject
    why: str
    cause: Exception


@dataclass(frozen=True, slots=True)
class Recovered:
    """What failed succeeds again."""

    subject: Subject


Event = BecameActive | StandsBy | RolledBack | WroteBack | Applied | NotApplied | Failed | Recovered
Tell = Callable[[Event], None]
"""Takes what happened; called from two threads."""
