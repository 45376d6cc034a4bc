"""The life of an override: which limits are in force, decided from the file, the database and git.

`settle_overrides` is the contract's table ("The life of an override"), line by line in `STATE_AFTER`. It
takes the file's block, the database's rows and what git's history shows of each id, and returns the
override in force and the rows that an apply has to write. Only narrowing wins by itself; every resume was
asked for by people.
"""

from collections.abc import Mapping, Sequence
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
    """What the history that ends at HEAD shows of an override's id in the file."""

    was_there: bool = False
    removals: int = 0


NEVER_THERE: Final = Trace()


class OverrideCase(Enum):
    """How an apply of HEAD finds an override: the lines of the contract's table."""

    ON_AND_THERE = auto()
    ON_AND_NEVER_THERE = auto()
    """Git does not have it yet."""
    ON_AND_REMOVED = auto()
    """People removed its block: they resume, or put another block in its place."""
    OUT_AND_THERE = auto()
    """Off or superseded, and never removed since: write-back will remove or replace its block."""
    OFF_AND_REMOVED = auto()
    PUT_BACK = auto()
    """Off or done, and in the file again after a removal."""
    SUPERSEDED_FOR_NOTHING = auto()
    """Its successor's block was removed, or allows more by now, and its own was never removed."""
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
    """Those that people removed, with nothing in their place: each is a row of history."""


def settle_overrides(
    in_file: Override | None,
    stored: Sequence[StoredOverride],
    traces: Mapping[UUID, Trace],
    kept: Override | None = None,
) -> Settlement:
    """Decide which override is in force on one feature: classify each row, settle it, pick the narrowest.

    Args:
        in_file: the override that the file has at HEAD; its limit counts, whatever its row has.
        stored: the feature's rows, in any state.
        traces: by id, of those that git was asked of, or that the last apply knows.
        kept: a new one, made of drift that is kept. Where another is as narrow it is superseded at
            once, and is in force again should people remove that one alone.
    """
    before = {row.id: row for row in stored}
    rows = dict(before)
    if in_file is not None and in_file.id not in rows:
        rows[in_file.id] = StoredOverride(in_file, OverrideState.DONE)
    settled: dict[UUID, StoredOverride] = {}
    for row in rows.values():
        trace = traces.get(row.id, NEVER_THERE)
        block = in_file if in_file is not None and in_file.id == row.id else None
        case = classify(row, trace, block, is_known=row.id in before)
        settled[row.id] = settle(row, case, trace, block)
    for row in tuple(settled.values()):
        is_there = in_file is not None and in_file.id == row.id
        if is_superseded_for_nothing(row, settled, traces.get(row.id), is_there=is_there):
            settled[row.id] = in_state(row, OverrideCase.SUPERSEDED_FOR_NOTHING)
    if kept is not None:
        settled[kept.id] = StoredOverride(kept, OverrideState.ON)
    in_force = narrowest([row for row in settled.values() if row.state is OverrideState.ON])
    removed = {
        row.id
        for row in stored
        if row.state is OverrideState.ON and settled[row.id].state is OverrideState.DONE
    }
    is_replaced = in_file is not None and in_force is not None and in_force.id == in_file.id
    for row in tuple(settled.values()):
        is_outdone = row.state is OverrideState.ON and row is not in_force
        if in_force is not None and (is_outdone or (row.id in removed and is_replaced)):
            settled[row.id] = replace(row, state=OverrideState.DONE, superseded_by=in_force.id)
    return Settlement(
        in_force=None if in_force is None else in_force.override,
        written=tuple(row for row in settled.values() if before.get(row.id) != row),
        resumed=()
        if is_replaced
        else tuple(before[each].override for each in before if each in removed),
    )


def narrow(configuration: Limited, override: Override | None) -> Limited:
    """Return a configuration, or its exposure alone, under a limit: never wider than it was.

    A stop also takes the percentage to 0, as people do who stop by hand, so that a reader of the
    percentage alone is not misled.
    """
    if override is None:
        return configuration
    if override.percentage is None:
        return replace(configuration, emergency_stop=True, percentage=Decimal(0))
    return replace(configuration, percentage=min(configuration.percentage, override.percentage))


def effective(desired: Limited, override: Override | None, live: Limited | None) -> Limited:
    """Return what is to be live: the desired state under its limit.

    While a feature is stopped its percentage has no effect: a feature that is stopped before and after
    keeps the one that people left there, unless that is above what the file asks for.
    """
    narrowed = narrow(desired, override)
    if live is None or not (live.emergency_stop and narrowed.emergency_stop):
        return narrowed
    return replace(narrowed, percentage=min(live.percentage, desired.percentage))


def is_narrower(override: Override, other: Override) -> bool:
    """Return whether an override allows less than another."""
    return limit_of(override) < limit_of(other)


def limit_of(override: Override) -> Decimal:
    """Return a limit as a number that orders: a stop is under every percentage."""
    return Decimal(-1) if override.percentage is None else override.percentage


def classify(
    row: StoredOverride, trace: Trace, block: Override | None, *, is_known: bool = True
) -> OverrideCase:
    """Return the case of a row; `block` is its override as the file has it, None where it is absent."""
    if not is_known:
        return OverrideCase.UNKNOWN_AND_THERE
    if block is not None:
        return _classify_there(row, trace)
    match row.state:
        case OverrideState.ON if trace.was_there:
            return OverrideCase.ON_AND_REMOVED
        case OverrideState.ON:
            return OverrideCase.ON_AND_NEVER_THERE
        case OverrideState.OFF if trace.was_there:
            return OverrideCase.OFF_AND_REMOVED
        case _:
            return OverrideCase.OUT_AND_ABSENT


def _classify_there(row: StoredOverride, trace: Trace) -> OverrideCase:
    if row.state is OverrideState.ON:
        return OverrideCase.ON_AND_THERE
    is_done = row.state is OverrideState.DONE
    # A removal from before the row was last seen is not one since; and what is done without having been
    # superseded was removed, or git would still have it.
    if trace.removals > row.removals or (is_done and row.superseded_by is None):
        return OverrideCase.PUT_BACK
    return OverrideCase.OUT_AND_THERE


def settle(
    row: StoredOverride, case: OverrideCase, trace: Trace, block: Override | None
) -> StoredOverride:
    """Return a row as an apply of HEAD leaves it, whatever becomes of the others."""
    return in_state(row if block is None else with_seen(row, trace, block), case)


def with_seen(row: StoredOverride, trace: Trace, block: Override) -> StoredOverride:
    """Return a row whose block was seen in the file: with its removals until then, and its limit there."""
    is_edited = limit_of(block) != limit_of(row.override)
    return replace(
        row,
        override=block if is_edited else row.override,
        removals=max(row.removals, trace.removals),
    )


def in_state(row: StoredOverride, case: OverrideCase) -> StoredOverride:
    """Return a row in the state that an apply leaves it in."""
    match STATE_AFTER[case]:
        case None:
            return row
        case OverrideState.ON if row.state is not OverrideState.ON:
            return replace(row, state=OverrideState.ON, superseded_by=None)
        case state:
            return replace(row, state=state)


def is_superseded_for_nothing(
    row: StoredOverride,
    settled: Mapping[UUID, StoredOverride],
    trace: Trace | None,
    *,
    is_there: bool,
) -> bool:
    """Return whether a row's last successor was removed or allows more, and its own block never was removed.

    Where git was not asked of a row (`trace` is None) it is taken for removed with its successor.
    """
    if trace is None or (trace.was_there and not is_there):
        return False
    last = row
    while last.superseded_by is not None and last.superseded_by in settled:
        last = settled[last.superseded_by]
    if row is last or row.state is not OverrideState.DONE:
        return False
    is_widened = last.state is OverrideState.ON and is_narrower(row.override, last.override)
    return last.state is OverrideState.DONE or is_widened


def narrowest(rows: Sequence[StoredOverride]) -> StoredOverride | None:
    """Return the row with the narrowest limit, of equals the first; None without rows."""
    return min(rows, key=lambda row: limit_of(row.override), default=None)
