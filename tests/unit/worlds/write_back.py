"""Write-back in a small world: each step is an act, after which it may be killed.

The real code decides what it writes.
"""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from reconciler.planning import write_back as planning
from reconciler.planning.overrides import OverrideState, StoredOverride, Trace
from reconciler.planning.write_back import Add, Nothing, Remove, Replace, Tip, Wait
from tests.unit.worlds.values import (
    Bounds,
    File,
    Pass,
    Row,
    World,
    trace,
)


def write_back(world: World, bounds: Bounds) -> Iterator[tuple[str, World]]:
    on_its_way = world.write_back
    if on_its_way is None:
        if any(row.state is not OverrideState.DONE for row in world.rows):
            yield "write-back reads", world._replace(write_back=Pass(world.rows))
        return
    yield "write-back is killed", world._replace(write_back=None)
    if on_its_way.commit is None:
        edited = write_back_edit(on_its_way.rows, world.branch)
        if edited is not None and len(world.branch) < bounds.commits:
            commit = (len(world.branch), edited)
            yield (
                "write-back commits",
                world._replace(write_back=replace(on_its_way, commit=commit)),
            )
        return
    parent, file = on_its_way.commit
    if parent == len(world.branch):
        # Its answer and the answer of the database's mark may be lost, without any other effect.
        before = world.branch[-1].block
        entered = (file.block.id,) if file.block is not None and file.block != before else ()
        yield (
            f"write-back pushes (commit {parent})",
            world._replace(
                branch=(*world.branch, file),
                write_back=None,
                entered=(*world.entered, *entered),
            ),
        )
    else:
        yield "the push is rejected", world._replace(write_back=Pass(on_its_way.rows))


def write_back_edit(rows: tuple[Row, ...], branch: tuple[File, ...]) -> File | None:
    """Return the tip's file as write-back would push it; None if no change is needed."""
    tip = branch[-1]
    match planning.decide(*_found(rows, branch)):
        case Add(override) | Replace(override):
            return replace(tip, block=override)
        case Remove():
            return replace(tip, block=None)
        case Nothing() | Wait():
            return None


def is_pending(rows: tuple[Row, ...], branch: tuple[File, ...]) -> bool:
    """Return whether an override is pending for write-back."""
    unsettled = {row.override.id for row in rows if row.state is not OverrideState.DONE}
    return bool(unsettled - planning.seen_in_git(*_found(rows, branch)))


def _found(
    rows: tuple[Row, ...], branch: tuple[File, ...]
) -> tuple[Tip, tuple[StoredOverride, ...], dict[UUID, Trace]]:
    tip = branch[-1]
    return (
        Tip(Decimal(tip.percentage), tip.block),
        rows,
        {row.override.id: trace(branch, row.override.id) for row in rows},
    )
