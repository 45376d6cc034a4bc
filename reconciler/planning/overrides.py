"""The life of an override: the limits in force, decided from the file, the database and git.

`settle_overrides` implements the contract's table ("The life of an override"), row by row in
`STATE_AFTER`. Its inputs are the file's block, the database's rows and the traces of each id in
git's history. It returns the override in force and the rows that an apply must write. Only
narrowing takes effect by itself; every resume is an act of people.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from reconciler.rollout_file.override import Override

if TYPE_CHECKING:
    from reconciler.planning.exposure import Exposure
    from reconciler.planning.feature_config import Configuration

Limited = TypeVar("Limited", "Configuration", "Exposure")
"""What a limit narrows: a configuration, or its exposure alone."""

KEPT_BY: Final = "database"
"""The author of an override that keeps a live change."""


class OverrideState(StrEnum):
    """The state of an override."""

    ON = "on"
    """In force."""
    OFF = "off"
    """It is resumed, but its removal was not seen in git yet."""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class StoredOverride:
    """One row of `rollout_override`."""

    override: Override
    state: OverrideState
    superseded_by: UUID | None = None
    """The narrower override that replaced this one."""
    removals: int = 0
    """How often its block had been removed when the file was last read."""

    @property
    def id(self) -> UUID:
        """The override's id."""
        return self.override.id


@dataclass(frozen=True, slots=True)
class Trace:
    """The traces of an override's id in the history of the file that ends at HEAD."""

    was_there: bool = False
    removals: int = 0


NEVER_THERE: Final = Trace()


class OverrideCase(Enum):
    """The case of an override at an apply of HEAD: the rows of the contract's table."""

    ON_AND_THERE = auto()
    ON_AND_NEVER_THERE = auto()
    """Git does not have it yet."""
    ON_AND_REMOVED = auto()
    """People removed its block: they resume, or they replaced it by another block."""
    OUT_AND_THERE = auto()
    """It is off or superseded, and its block was not removed since: write-back will remove or replace it."""
    OFF_AND_REMOVED = auto()
    PUT_BACK = auto()
    """It is off or done, and in the file again after a removal."""
    SUPERSEDED_FOR_NOTHING = auto()
    """Its successor's block was removed or is now wider, and its own block was never removed."""
    UNKNOWN_AND_THERE = auto()
    """People wrote it by hand, or the database is new."""
    OUT_AND_ABSENT = auto()
    """It is off or done, and the file does not contradict that."""


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
"""The state of an override after an apply; None leaves its state unchanged."""


@dataclass(frozen=True, slots=True)
class EditedLimit:
    """A limit that people changed in the file, under its id; None is a stop."""

    override: UUID
    before: Decimal | None
    after: Decimal | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """The override in force on a feature, and the rows that an apply must write."""

    in_force: Override | None
    written: tuple[StoredOverride, ...]
    """New and changed rows."""
    resumed: tuple[Override, ...]
    """Overrides that people removed without a replacement; each gets a row of history."""
    edited: tuple[EditedLimit, ...] = ()


def settle_overrides(
    in_file: Override | None,
    stored: Sequence[StoredOverride],
    traces: Mapping[UUID, Trace],
    kept: Override | None = None,
) -> Settlement:
    """Decide the override in force on one feature: classify each row, settle it, pick the narrowest.

    Args:
        in_file: the override in the file at HEAD; its limit counts, even if its row has another one.
        stored: the feature's rows, in any state.
        traces: by id, for the ids that git was asked about or that the last apply knows.
        kept: a new override for kept drift. If another one is as narrow, it is superseded at once, and
            in force again if people remove that other one alone.
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
        edited=tuple(_edited_limits(stored, settled)),
    )


def _edited_limits(
    stored: Sequence[StoredOverride], settled: Mapping[UUID, StoredOverride]
) -> Iterator[EditedLimit]:
    for row in stored:
        before, after = row.override, settled[row.id].override
        if limit_of(before) != limit_of(after):
            yield EditedLimit(row.id, before.percentage, after.percentage)


def narrow(configuration: Limited, override: Override | None) -> Limited:
    """Return a configuration, or its exposure alone, under a limit: never wider than before.

    A stop also sets the percentage to 0, like a stop by hand, so a reader of the percentage alone
    is not misled.
    """
    if override is None:
        return configuration
    if override.percentage is None:
        return replace(configuration, emergency_stop=True, percentage=Decimal(0))
    return replace(configuration, percentage=min(configuration.percentage, override.percentage))


def without_override(stored: Limited, declared: Mapping[str, Any] | None) -> Limited:
    """Return a stored state as its file declared it, without the override in force.

    `declared` is the feature's part of the file; None if the file did not have the feature.
    """
    if declared is None:
        return stored
    percentage = Decimal(str(declared.get("percentage", 0)))
    return replace(stored, percentage=percentage, emergency_stop=False)


def effective(desired: Limited, override: Override | None, live: Limited | None) -> Limited:
    """Return the live state to write: the desired state under its limit.

    The percentage of a stopped feature has no effect. A feature that is stopped before and after
    keeps the percentage that people set, unless it is above the file's.
    """
    narrowed = narrow(desired, override)
    if live is None or not (live.emergency_stop and narrowed.emergency_stop):
        return narrowed
    return replace(narrowed, percentage=min(live.percentage, desired.percentage))


def is_narrower(override: Override, other: Override) -> bool:
    """Return whether an override is narrower than another."""
    return limit_of(override) < limit_of(other)


def limit_of(override: Override) -> Decimal:
    """Return a limit as a number for comparisons: a stop is below every percentage."""
    return Decimal(-1) if override.percentage is None else override.percentage


def classify(
    row: StoredOverride, trace: Trace, block: Override | None, *, is_known: bool = True
) -> OverrideCase:
    """Return the case of a row; `block` is its override as the file has it, None if it is absent."""
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
    # A removal before the row was last seen does not count. An override that is done and was never
    # superseded was removed, or git would still have its block.
    if trace.removals > row.removals or (is_done and row.superseded_by is None):
        return OverrideCase.PUT_BACK
    return OverrideCase.OUT_AND_THERE


def settle(
    row: StoredOverride, case: OverrideCase, trace: Trace, block: Override | None
) -> StoredOverride:
    """Return a row as an apply of HEAD leaves it, independently of the other rows."""
    return in_state(row if block is None else with_seen(row, trace, block), case)


def with_seen(row: StoredOverride, trace: Trace, block: Override) -> StoredOverride:
    """Return a row whose block was seen in the file: with the number of its removals, and its limit there."""
    is_edited = limit_of(block) != limit_of(row.override)
    return replace(
        row,
        override=block if is_edited else row.override,
        removals=max(row.removals, trace.removals),
    )


def in_state(row: StoredOverride, case: OverrideCase) -> StoredOverride:
    """Return a row with its state after an apply."""
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
    """Return whether a row's last successor was removed or is wider, and its own block was never removed.

    If git was not asked about a row (`trace` is None), it counts as removed with its successor.
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
    """Return the row with the narrowest limit, the first of equal ones; None without rows."""
    return min(rows, key=lambda row: limit_of(row.override), default=None)
