"""The life of an override: which limits are in force, decided from the file, the database and git.

`settle_overrides` is the contract's table ("The life of an override"), line by line in `STATE_AFTER`. It
takes what the file says, what the database holds and what git's history tells of each id, and returns what
is in force and what an apply has to write. Only narrowing wins by itself; whatever resumes was asked for
by people.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum, StrEnum, auto
from typing import Final
from uuid import UUID

from reconciler.planning.feature_config import Limited
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
    """How often its block had been removed when it was last seen in the file."""

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


class OverrideCase(Enum):
    """How an apply of HEAD finds an override: the lines of the contract's table."""

    ON_AND_THERE = auto()
    ON_AND_NEVER_THERE = auto()
    """Git doesn't know it yet."""
    ON_AND_REMOVED = auto()
    """People removed it: they resume."""
    OUT_AND_THERE = auto()
    """Off or superseded, and never removed in between: write-back will remove or replace it."""
    OFF_AND_REMOVED = auto()
    PUT_BACK = auto()
    """Off or done, and in the file again after a removal."""
    SUPERSEDED_FOR_NOTHING = auto()
    """What took its place was removed by people, who never removed this one from git."""
    UNKNOWN_AND_THERE = auto()
    """People wrote it by hand, or the database is a new one."""
    OUT_AND_ABSENT = auto()
    """Off or done, and nothing in the file says otherwise."""


STATE_AFTER: Final[Mapping[OverrideCase, OverrideState | None]] = {
    OverrideCase.ON_AND_THERE: OverrideState.ON,
    OverrideCase.ON_AND_NEVER_THERE: OverrideState.ON,
    OverrideCase.ON_AND_REMOVED: OverrideState.DONE,
    OverrideCase.OUT_AND_THERE: None,
    OverrideCase.OFF_AND_REMOVED: OverrideState.DONE,
    OverrideCase.PUT_BACK: OverrideState.ON,
    OverrideCase.SUPERSEDED_FOR_NOTHING: OverrideState.ON,
    OverrideCase.UNKNOWN_AND_THERE: OverrideState.ON,
    OverrideCase.OUT_AND_ABSENT: None,
}
"""The state that an apply leaves an override in; None leaves it in the one that it has."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is in force on a feature, and the rows that an apply has to write for that."""

    in_force: Override | None
    written: tuple[StoredOverride, ...]
    """New and changed rows, as they are to be."""
    resumed: tuple[Override, ...]
    """Those that people removed: each is a row of history."""


def settle_overrides(
    in_file: Override | None,
    stored: Sequence[StoredOverride],
    traces: Mapping[UUID, Trace],
    kept: Override | None = None,
) -> Settlement:
    """Decide what is in force on one feature.

    Args:
        in_file: the override that the file has at HEAD.
        stored: the feature's rows, in any state.
        traces: by id, of those that git was asked of, or the last apply knows.
        kept: a new one, made of drift that is kept. Where another is as narrow it is superseded at
            once, and comes back should people remove that one alone.
    """
    before = {row.id: row for row in stored}
    settled = {
        row.id: _settle(row, traces.get(row.id, NEVER_THERE), is_there=_is(in_file, row))
        for row in stored
    }
    if in_file is not None and in_file.id not in settled:
        unknown = StoredOverride(in_file, OverrideState.DONE)
        trace = traces.get(in_file.id, NEVER_THERE)
        settled[in_file.id] = _after(OverrideCase.UNKNOWN_AND_THERE, _seen(unknown, trace))
    for row in tuple(settled.values()):
        told = traces.get(row.id)
        # Where git was not asked of a row, it is taken for resumed with what took its place.
        was_resumed_too = told is None or (told.was_there and not _is(in_file, row))
        if not was_resumed_too and _is_superseded_by_what_is_gone(row, settled):
            settled[row.id] = _after(OverrideCase.SUPERSEDED_FOR_NOTHING, row)
    if kept is not None:
        settled[kept.id] = StoredOverride(kept, OverrideState.ON)
    on = [row for row in settled.values() if row.state is OverrideState.ON]
    in_force = _narrowest(on)
    for row in on:
        if in_force is not None and row is not in_force:
            settled[row.id] = replace(row, state=OverrideState.DONE, superseded_by=in_force.id)
    return Settlement(
        in_force=None if in_force is None else in_force.override,
        written=tuple(row for row in settled.values() if before.get(row.id) != row),
        resumed=tuple(_resumed(before, settled)),
    )


def narrow(configuration: Limited, override: Override | None) -> Limited:
    """Return a configuration, or its exposure alone, under a limit: never wider than it was.

    A stop also takes the percentage to 0, as people do who stop by hand, so that nobody who reads the
    percentage alone is misled.
    """
    if override is None:
        return configuration
    if override.percentage is None:
        return replace(configuration, emergency_stop=True, percentage=Decimal(0))
    return replace(configuration, percentage=min(configuration.percentage, override.percentage))


def effective(desired: Limited, override: Override | None, live: Limited | None) -> Limited:
    """Return what is to be live: the intent under its limit.

    While nobody is in, the percentage says nothing: a feature that is stopped before and after keeps the
    one that people left there, unless that is above what the file asks for.
    """
    narrowed = narrow(desired, override)
    if live is None or not (live.emergency_stop and narrowed.emergency_stop):
        return narrowed
    return replace(narrowed, percentage=min(live.percentage, desired.percentage))


def is_narrower(override: Override, other: Override) -> bool:
    """Tell whether an override allows less than another."""
    return _limit(override) < _limit(other)


def _is(in_file: Override | None, row: StoredOverride) -> bool:
    return in_file is not None and in_file.id == row.id


def _settle(row: StoredOverride, trace: Trace, *, is_there: bool) -> StoredOverride:
    """Return a row as an apply of HEAD leaves it, whatever becomes of the others."""
    return _after(_meet(row, trace, is_there=is_there), _seen(row, trace) if is_there else row)


def _meet(row: StoredOverride, trace: Trace, *, is_there: bool) -> OverrideCase:
    # What was removed before it was last seen is no removal in between; and what is done without
    # having been superseded was removed, or git would have it still.
    was_removed_since = trace.removals > row.removals or (
        row.state is OverrideState.DONE and row.superseded_by is None
    )
    match row.state, is_there:
        case OverrideState.ON, True:
            return OverrideCase.ON_AND_THERE
        case OverrideState.ON, False:
            return (
                OverrideCase.ON_AND_REMOVED if trace.was_there else OverrideCase.ON_AND_NEVER_THERE
            )
        case _, True:
            return OverrideCase.PUT_BACK if was_removed_since else OverrideCase.OUT_AND_THERE
        case OverrideState.OFF, False if trace.was_there:
            return OverrideCase.OFF_AND_REMOVED
        case _:
            return OverrideCase.OUT_AND_ABSENT


def _seen(row: StoredOverride, trace: Trace) -> StoredOverride:
    return replace(row, removals=max(row.removals, trace.removals))


def _after(meeting: OverrideCase, row: StoredOverride) -> StoredOverride:
    match STATE_AFTER[meeting]:
        case None:
            return row
        case OverrideState.ON if row.state is not OverrideState.ON:
            return replace(row, state=OverrideState.ON, superseded_by=None)
        case state:
            return replace(row, state=state)


def _is_superseded_by_what_is_gone(
    row: StoredOverride, settled: Mapping[UUID, StoredOverride]
) -> bool:
    """Tell whether people removed what took a row's place, or what took the place of that."""
    last = row
    while last.superseded_by is not None and last.superseded_by in settled:
        last = settled[last.superseded_by]
    return row is not last and row.state is last.state is OverrideState.DONE


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


def _narrowest(rows: Sequence[StoredOverride]) -> StoredOverride | None:
    # Of equals the one that was there first.
    return min(rows, key=lambda row: _limit(row.override), default=None)


def _limit(override: Override) -> Decimal:
    """Return a limit as a number that orders: a stop is under every percentage."""
    return Decimal(-1) if override.percentage is None else override.percentage
