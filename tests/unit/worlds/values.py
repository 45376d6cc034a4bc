"""A small world: one feature, one branch, one database, and who is on the way, as values.

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
from reconciler.rollout_file.model import Override

FEATURE: Final = "feature"
MOMENT: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROLLBACK_TO: Final = Decimal(5)
HAND_LIMIT: Final = Decimal(10)
"""What people write into the file by hand, where they write no stop."""
Row = StoredOverride
"""A row of `rollout_override`."""
STOP: Final = None
"""A limit is a percentage, or this."""


@dataclass(frozen=True, slots=True)
class File:
    """What the rollout file says at one commit."""

    percentage: int
    block: Override | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass of write-back on its way: what it read in the database, then the commit it made."""

    rows: tuple[Row, ...]
    commit: tuple[int, File] | None = None
    """The commits that the tip had, and the file to be pushed onto it."""


class World(NamedTuple):
    """Everything that is, at one moment; a tuple, since a search makes and compares many."""

    branch: tuple[File, ...] = (File(20),)
    applied: int = -1
    """The index of the commit applied last."""
    desired: int = 0
    """The percentage, and the override, that the newest generation has from the file."""
    block: UUID | None = None
    live: tuple[Decimal, bool] | None = None
    """Percentage and stop; None while there is no feature."""
    generation: int = 0
    rows: tuple[Row, ...] = ()
    write_back: Pass | None = None
    made: int = 0
    """How many overrides there are; their ids count up."""
    stops: frozenset[tuple[UUID | None, Decimal | None]] = frozenset()
    """What nobody has resumed: by id, or None where the database was changed by hand, the limit."""
    removals: tuple[int, ...] = ()
    """The commits in which people removed a block."""
    seen: frozenset[UUID] = frozenset()
    """The ids that an apply found in the file."""
    entered: tuple[UUID, ...] = ()
    """The ids that write-back brought into the branch, one a commit."""
    acts: tuple[tuple[str, int], ...] = ()
    """How often each act that is bounded was done."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may happen in a world."""

    acts: tuple[tuple[str, int], ...]
    """How often at most people and the safeguard do each thing."""
    together: int
    """How many of those things at most."""
    commits: int = 6


@dataclass(frozen=True)
class Rules:
    """What the commands and the job go by; a test takes one away at a time."""

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
    """Return the row that is on; there is never more than one."""
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
    there = [identifier(file.block) == override for file in branch]
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
