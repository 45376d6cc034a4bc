"""Write-back in a small world, as the contract tells it: each step an act, after which it may be killed."""

from collections.abc import Iterator
from dataclasses import replace

from reconciler.planning.overrides import OverrideState
from reconciler.rollout_file.model import Override
from tests.unit.worlds.values import (
    Bounds,
    File,
    Pass,
    Row,
    Rules,
    World,
    identifier,
    on_row,
    row_of,
    trace,
)


def write_back(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    on_its_way = world.write_back
    if on_its_way is None:
        if any(row.state is not OverrideState.DONE for row in world.rows):
            yield "write-back reads", replace(world, write_back=Pass(world.rows))
        return
    yield "write-back is killed", replace(world, write_back=None)
    if on_its_way.commit is None:
        edited = write_back_edit(on_its_way.rows, world.branch, rules)
        if edited is not None and len(world.branch) < bounds.commits:
            commit = (len(world.branch), edited)
            yield (
                "write-back commits",
                replace(world, write_back=replace(on_its_way, commit=commit)),
            )
        return
    parent, file = on_its_way.commit
    if parent == len(world.branch):
        # Its answer, and that of the mark in the database, may be lost: nothing else comes of them.
        before = world.branch[-1].block
        entered = (file.block.id,) if file.block is not None and file.block != before else ()
        yield (
            f"write-back pushes (commit {parent})",
            replace(
                world,
                branch=(*world.branch, file),
                write_back=None,
                entered=(*world.entered, *entered),
            ),
        )
    else:
        yield "the push is rejected", replace(world, write_back=Pass(on_its_way.rows))


def write_back_edit(rows: tuple[Row, ...], branch: tuple[File, ...], rules: Rules) -> File | None:
    """Return the tip's file as write-back would push it; None where nothing is to be done."""
    tip = branch[-1]
    on = on_row(rows)
    if on is not None:
        seen = trace(branch, on.override.id)
        is_to_be_added = (
            not seen.was_there
            if rules.adds_only_what_never_was_there
            else identifier(tip.block) != on.override.id
        )
        if is_to_be_added and (tip.block is None or _may_replace(tip.block, rows, branch, rules)):
            return replace(tip, block=on.override)
        return None
    if tip.block is None or not rules.removes_what_is_off:
        return None
    row = row_of(tip.block, rows)
    if row is not None and row.state is OverrideState.OFF and not _is_put_back(row, branch, rules):
        return replace(tip, block=None)
    return None


def _may_replace(
    block: Override, rows: tuple[Row, ...], branch: tuple[File, ...], rules: Rules
) -> bool:
    """Tell whether a block is one that the database has settled as not in force."""
    for row in rows:
        if row.override.id == block.id:
            is_out = row.state is not OverrideState.ON and not _is_put_back(row, branch, rules)
            return rules.replaces_what_is_out and is_out
    return not rules.leaves_what_it_does_not_know


def _is_put_back(row: Row, branch: tuple[File, ...], rules: Rules) -> bool:
    seen = trace(branch, row.override.id)
    return rules.leaves_what_people_put_back and seen.removals > row.removals
