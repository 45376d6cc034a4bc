"""The life of an override: which limits are in force, decided from the file, the database and git.

`settle_overrides` is the contract's table ("The life of an override"). It takes what the file says, what
the database holds and what git's history tells of each id, and returns what is in force and what an apply
has to write. Only narrowing wins by itself; whatever resumes was asked for by people.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

from reconciler.planning.configuration import Configuration
from reconciler.rollout_file.model import Override


class OverrideState(StrEnum):
    """Where an override is in its life."""

    ON = "on"
    """In force."""
    OFF = "off"
    """A resume was asked for; its removal was not seen in git yet."""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class StoredOverride:
    """One row of `rollout_override`."""

    override: Override
    state: OverrideState
    superseded_by: UUID | None = None
    """The narrower override that took this one's place."""
    removals: int = 0
    """How often git had removed its block when the database last looked."""

    @property
    def id(self) -> UUID:
        """The override's id."""
        return self.override.id


@dataclass(frozen=True, slots=True)
class Trace:
    """What the history that ends at HEAD tells of an override's id in the file."""

    was_there: bool = False
    removals: int = 0


NEVER_THERE: Final = Trace()


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is in force on a feature, and the rows that an apply has to write for that."""

    in_force: Override | None
    written: tuple[StoredOverride, ...]
    """New and changed rows, as they are to be."""
    resumed: tuple[Override, ...]
    """Those that people removed: each is a row of history."""


def settle_overrides(
    in_file: Override | None, stored: Sequence[StoredOverride], traces: Mapping[UUID, Trace]
) -> Settlement:
    """Decide what is in force on one feature.

    Args:
        in_file: the override that the file has at HEAD.
        stored: the feature's rows, in any state.
        traces: by id; an id without one never was in git.
    """
    file_id = None if in_file is None else in_file.id
    settled = {
        row.id: _next(row, traces.get(row.id, NEVER_THERE), is_there=row.id == file_id)
        for row in stored
    }
    if in_file is not None and in_file.id not in settled:
        trace = traces.get(in_file.id, NEVER_THERE)
        settled[in_file.id] = StoredOverride(in_file, OverrideState.ON, removals=trace.removals)
    on = [row for row in settled.values() if row.state is OverrideState.ON]
    in_force = min(on, key=_narrowest_first, default=None)
    for row in on:
        if in_force is not None and row is not in_force:
            settled[row.id] = replace(row, state=OverrideState.DONE, superseded_by=in_force.id)
    before = {row.id: row for row in stored}
    return Settlement(
        in_force=None if in_force is None else in_force.override,
        written=tuple(row for row in settled.values() if before.get(row.id) != row),
        resumed=tuple(_resumed(before, settled)),
    )


def narrow(configuration: Configuration, override: Override | None) -> Configuration:
    """Return a configuration under a limit: never wider than it was.

    A stop also takes the percentage to 0, as people do who stop by hand, so that nobody who reads the
    percentage alone is misled.
    """
    if override is None:
        return configuration
    if override.percentage is None:
        return replace(configuration, emergency_stop=True, percentage=Decimal(0))
    return replace(configuration, percentage=min(configuration.percentage, override.percentage))


def is_narrower(override: Override, other: Override) -> bool:
    """Tell whether an override allows less than another."""
    return _limit(override) < _limit(other)


def _next(row: StoredOverride, trace: Trace, *, is_there: bool) -> StoredOverride:
    """Return a row as an apply of HEAD leaves it: the contract's table, line by line."""
    looked = replace(row, removals=max(row.removals, trace.removals))
    was_put_back = is_there and trace.removals > row.removals
    was_removed = trace.was_there and not is_there
    match row.state:
        case OverrideState.ON:
            return replace(looked, state=OverrideState.DONE) if was_removed else looked
        case OverrideState.OFF:
            if was_put_back:
                return replace(looked, state=OverrideState.ON, superseded_by=None)
            return replace(looked, state=OverrideState.DONE) if was_removed else looked
        case OverrideState.DONE:
            if was_put_back or (is_there and row.superseded_by is None):
                return replace(looked, state=OverrideState.ON, superseded_by=None)
            return looked


def _resumed(
    before: Mapping[UUID, StoredOverride], after: Mapping[UUID, StoredOverride]
) -> Iterator[Override]:
    for row in before.values():
        now = after[row.id]
        if (
            row.state is OverrideState.ON
            and now.state is OverrideState.DONE
            and now.superseded_by is None
        ):
            yield row.override


def _narrowest_first(row: StoredOverride) -> tuple[Decimal, UUID]:
    # Of equals the one that was there first: ids of rollbacks rise with time.
    return _limit(row.override), row.id


def _limit(override: Override) -> Decimal:
    """Return a limit as a number that orders: a stop is under every percentage."""
    return Decimal(-1) if override.percentage is None else override.percentage
