"""The decisions of write-back about one feature, from the branch's tip, the database and git's history.

A block is added only if the branch never had it, so a block that people removed never comes back.
Blocks that people restored, or that the database does not know, are left for the next apply. This
module decides only; nothing here edits a file.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from reconciler.planning.overrides import (
    NEVER_THERE,
    OverrideState,
    StoredOverride,
    Trace,
    limit_of,
)
from reconciler.rollout_file.override import Override


@dataclass(frozen=True, slots=True)
class Tip:
    """The file's content for one feature at the tip of the branch."""

    percentage: Decimal
    block: Override | None


@dataclass(frozen=True, slots=True)
class Add:
    """Write the block of this override."""

    override: Override


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace another override's block by the block of this override."""

    override: Override
    replaced: UUID


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the block of this override: it was resumed."""

    override: Override


@dataclass(frozen=True, slots=True)
class Nothing:
    """Write nothing: git agrees with the database."""


class Why(StrEnum):
    """The reason why an override must wait."""

    NO_FEATURE = "the file on the branch does not have the feature"
    UNKNOWN_BLOCK = "the file on the branch has an override that no apply has read yet"
    PUT_BACK = "people put its block back; the next apply puts it in force"
    OTHER_PUT_BACK = (
        "people put another override's block back; the next apply settles which is in force"
    )
    EDITED = "people changed another override's limit; the next apply settles which is in force"
    PROPOSED_BEFORE = "the branch that proposes its block can still be merged; delete that branch"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be written now; the override stays pending."""

    why: Why


Decision = Add | Replace | Remove | Nothing | Wait


def decide(
    tip: Tip | None, rows: Sequence[StoredOverride], traces: Mapping[UUID, Trace]
) -> Decision:
    """Decide what to write about one feature.

    Args:
        tip: the file's content at the tip of the branch; None if it does not have the feature.
        rows: the feature's overrides, in any state.
        traces: the traces of each of their ids in the branch's history.
    """
    on = next((row for row in rows if row.state is OverrideState.ON), None)
    if on is not None:
        return _decide_on(on, tip, rows, traces)
    block = None if tip is None else tip.block
    row = None if block is None else _row_of(block, rows)
    if row is None or row.state is not OverrideState.OFF:
        return Nothing()
    return Wait(Why.PUT_BACK) if is_put_back(row, traces) else Remove(row.override)


def seen_in_git(
    tip: Tip | None,
    rows: Sequence[StoredOverride],
    traces: Mapping[UUID, Trace],
    proposed: Container[UUID] = (),
) -> frozenset[UUID]:
    """Return the overrides about which git is complete.

    The block of an override that is on is or was in the file. The block of one that is off is not
    in the file, and no branch proposes it. An override that is done is not written back.
    """
    block = None if tip is None else tip.block
    there = None if block is None else block.id
    return frozenset(
        row.id
        for row in rows
        if (row.state is OverrideState.ON and was_there(row, traces))
        or (row.state is OverrideState.OFF and row.id != there and row.id not in proposed)
    )


def _decide_on(
    on: StoredOverride,
    tip: Tip | None,
    rows: Sequence[StoredOverride],
    traces: Mapping[UUID, Trace],
) -> Decision:
    if was_there(on, traces):
        return Nothing()
    if tip is None:
        return Wait(Why.NO_FEATURE)
    if tip.block is None:
        return Add(on.override)
    return _decide_replacing(tip.block, on, rows, traces)


def _decide_replacing(
    block: Override,
    on: StoredOverride,
    rows: Sequence[StoredOverride],
    traces: Mapping[UUID, Trace],
) -> Decision:
    row = _row_of(block, rows)
    if row is None:
        return Wait(Why.UNKNOWN_BLOCK)
    if is_put_back(row, traces):
        return Wait(Why.OTHER_PUT_BACK)
    if limit_of(block) != limit_of(row.override):
        return Wait(Why.EDITED)
    return Replace(on.override, block.id)


def was_there(row: StoredOverride, traces: Mapping[UUID, Trace]) -> bool:
    """Return whether the branch has or had a row's block."""
    return traces.get(row.id, NEVER_THERE).was_there


def is_put_back(row: StoredOverride, traces: Mapping[UUID, Trace]) -> bool:
    """Return whether people restored a block that the database has recorded as removed."""
    is_removed = row.state is OverrideState.DONE and row.superseded_by is None
    return is_removed or traces.get(row.id, NEVER_THERE).removals > row.removals


def _row_of(block: Override, rows: Sequence[StoredOverride]) -> StoredOverride | None:
    """Return the row of the file's block; None if the database does not know it."""
    return next((row for row in rows if row.id == block.id), None)
