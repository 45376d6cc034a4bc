"""A small world as values: one feature, one branch, one database, and the processes that run.

A world is hashable and every act makes another, so that a search can try every order of acts.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Final, NamedTuple
from uuid import UUID

from reconciler.planning.desired import default_configuration
from reconciler.planning.feature_config import Configuration
from reconciler.planning.overrides import (
    NEVER_THERE,
    OverrideState,
    StoredOverride,
    Trace,
    narrow,
)
from reconciler.rollout_file.override import Override

FEATURE: Final = "feature"
MOMENT: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROLLBACK_TO: Final = Decimal(5)
HAND_LIMIT: Final = Decimal(10)
"""The limit that people write into the file by hand, if they write no stop."""
Row = StoredOverride
"""A row of `rollout_override`."""
STOP: Final = None
"""A limit is a percentage or this."""


@dataclass(frozen=True, slots=True)
class File:
    """The content of the rollout file at one commit."""

    percentage: int
    block: Override | None = None
    elsewhere: Override | None = None
    """A block of this feature that people moved to another feature of the file, with its id."""

    def has(self, override: UUID) -> bool:
        """Return whether the id is in the file, for this feature or for another."""
        return override in {identifier(self.block), identifier(self.elsewhere)}


@dataclass(frozen=True, slots=True)
class Pass:
    """A running pass of write-back: what it read in the database, then the commit it made."""

    rows: tuple[Row, ...]
    commit: tuple[int, File] | None = None
    """The commits of the tip, and the file to be pushed onto it."""


class World(NamedTuple):
    """The complete state at one moment; a tuple, because a search makes and compares many."""

    branch: tuple[File, ...] = (File(20),)
    applied: int = -1
    """The index of the commit applied last."""
    desired: int = 0
    """The percentage and the override that the newest generation has from the file."""
    block: UUID | None = None
    live: tuple[Decimal, bool] | None = None
    """Percentage and stop; None while there is no feature."""
    generation: int = 0
    rows: tuple[Row, ...] = ()
    write_back: Pass | None = None
    made: int = 0
    """The number of overrides; their ids count up."""
    stops: frozenset[tuple[UUID | None, Decimal | None]] = frozenset()
    """Limits that are not resumed: by id, or by None and the limit if the database was changed by hand."""
    removals: tuple[int, ...] = ()
    """The commits in which people removed a block."""
    seen: frozenset[UUID] = frozenset()
    """The ids that an apply found in the file."""
    entered: tuple[UUID, ...] = ()
    """The ids that write-back added to the branch, one for each commit."""
    acts: tuple[tuple[str, int], ...] = ()
    """How often each bounded act was done."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of a world."""

    acts: tuple[tuple[str, int], ...]
    """The largest number of each act of people and the safeguard."""
    together: int
    """The largest number of all these acts."""
    commits: int = 6


@dataclass(frozen=True)
class Rules:
    """The rules of the commands and the job; a test removes one at a time."""

    has_git: bool = True
    """Without it there is one file at a time, no history, and no write-back."""
    asks_git_of_what_is_superseded: bool = True
    refuses_stale: bool = True


def is_wider(limit: Decimal | None, other: Decimal | None) -> bool:
    return other is not limit and (other is STOP or (limit is not STOP and limit > other))


def identifier(block: Override | None) -> UUID | None:
    return None if block is None else block.id


def row_of(block: Override | None, rows: tuple[Row, ...]) -> Row | None:
    return next((row for row in rows if row.override.id == identifier(block)), None)


def on_row(rows: tuple[Row, ...]) -> Row | None:
    """Return the row that is on; there is at most one."""
    on = [row for row in rows if row.state is OverrideState.ON]
    assert len(on) <= 1, "at most one override of a feature is on"
    return on[0] if on else None


def effective(percentage: int, row: Row | None) -> tuple[Decimal, bool]:
    return limited(percentage, None if row is None else row.override)


@cache
def limited(percentage: int, override: Override | None) -> tuple[Decimal, bool]:
    narrowed = narrow(configuration(percentage, False), override)
    return narrowed.percentage, narrowed.emergency_stop


@cache
def configuration(percentage: int | Decimal, stopped: bool) -> Configuration:
    return replace(
        default_configuration(FEATURE), percentage=Decimal(percentage), emergency_stop=stopped
    )


@cache
def trace(branch: tuple[File, ...], override: UUID) -> Trace:
    """Return the trace of an id in a history, as `git.override_trace` reads it."""
    there = [file.has(override) for file in branch]
    if not any(there):
        return NEVER_THERE
    removals = sum(before and not after for before, after in pairwise(there))
    return Trace(was_there=True, removals=removals)


class _Override(Override):
    """Compares by id and limit only, which is faster than by all fields."""

    def __hash__(self) -> int:
        return self.id.int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Override) and (self.id, self.percentage) == (
            other.id,
            other.percentage,
        )


@cache
def override_of(number: int, limit: Decimal | None) -> Override:
    return _Override(
        id=UUID(int=number),
        percentage=limit,
        emergency_stop=True if limit is STOP else None,
        reason="why",
        by="somebody",
        at=MOMENT,
    )
