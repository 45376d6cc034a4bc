"""The possible acts in a small world: of jobs, people, the safeguard and a person with psql."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Final
from uuid import UUID

from tests.unit.worlds.acting import imposed, lifted
from tests.unit.worlds.applying import apply
from tests.unit.worlds.values import (
    HAND_LIMIT,
    ROLLBACK_TO,
    STOP,
    Bounds,
    File,
    Rules,
    World,
    is_wider,
    limited,
    on_row,
    override_of,
    trace,
)
from tests.unit.worlds.write_back import write_back


def acts(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """Return every act that is possible in a world, and the world after it."""
    yield from _jobs(world, rules)
    if rules.has_git:
        yield from write_back(world, bounds)
    done = dict(world.acts)
    if sum(done.values()) >= bounds.together:
        return
    for name, most in bounds.acts:
        if done.get(name, 0) < most:
            counted = tuple(sorted((done | {name: done.get(name, 0) + 1}).items()))
            for label, after in _ACTS[name](world, bounds, rules):
                yield label, after._replace(acts=counted)


def _jobs(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """The job of any merge may run at any time, and more than once."""
    tip = len(world.branch) - 1
    for index in range(0 if rules.has_git else tip, tip + 1):
        if index < world.applied and rules.refuses_stale:
            continue
        after = apply(world, index, rules)
        if after != world:
            yield f"apply commit {index}", after


def _merge(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    tip = world.branch[-1]
    yield from _commit(world, replace(tip, percentage=30 if tip.percentage == 20 else 20), bounds)


def _remove(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person removes the block: that resumes the override that git knew, and no other."""
    tip = world.branch[-1]
    if tip.block is not None:
        after = _resumed_by_people(world, rules)
        yield from _commit(after, replace(tip, block=None), bounds, "remove the block")


def _put_back(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person restores a block that the branch had, in place of the present one if there is one.

    Without git it may be any block that the database knows, because then people do the write-back.
    """
    tip = world.branch[-1]
    had = {file.block.id: file.block for file in world.branch if file.block is not None}
    if tip.elsewhere is not None:
        # One id limits one feature of a file.
        had.pop(tip.elsewhere.id, None)
    if not rules.has_git:
        had |= {row.override.id: row.override for row in world.rows}
    for block in had.values():
        if block != tip.block:
            after = world if tip.block is None else _resumed_by_people(world, rules)
            name = f"put the block {block.id.int} back"
            yield from _commit(after, replace(tip, block=block), bounds, name)


def _move_away(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person moves the block to another feature, with its id: here that is a resume."""
    tip = world.branch[-1]
    if tip.block is not None and tip.elsewhere is None:
        after = _resumed_by_people(world, rules)
        file = replace(tip, block=None, elsewhere=tip.block)
        yield from _commit(after, file, bounds, "move the block to another feature")


def _move_back(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person moves the block back, in place of the present one if there is one."""
    tip = world.branch[-1]
    if tip.elsewhere is not None:
        after = world if tip.block is None else _resumed_by_people(world, rules)
        file = replace(tip, block=tip.elsewhere, elsewhere=None)
        yield from _commit(after, file, bounds, "move the block back")


def _resumed_by_people(world: World, rules: Rules) -> World:
    """Return a world whose next commit is a person's and keeps nothing of the earlier file."""

    def is_known(override: UUID) -> bool:
        if rules.has_git:
            return trace(world.branch, override).was_there
        return override in world.seen

    stops = frozenset(each for each in world.stops if each[0] is None or not is_known(each[0]))
    return world._replace(stops=stops, removals=(*world.removals, len(world.branch)))


def _write(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person writes a stop into the file by hand."""
    tip = world.branch[-1]
    if tip.block is not None:
        return
    for limit, name in ((STOP, "a stop"), (HAND_LIMIT, "a limit")):
        block = override_of(world.made + 1, limit)
        after = world._replace(made=world.made + 1)
        yield from _commit(after, replace(tip, block=block), bounds, f"write {name} by hand")


def _edit(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person changes the limit of the block under its id: the new limit counts, wider or narrower."""
    tip = world.branch[-1]
    if tip.block is None:
        return
    number, before = tip.block.id.int, tip.block.percentage
    for limit in (STOP, ROLLBACK_TO, HAND_LIMIT):
        if limit == before:
            continue
        block = override_of(number, limit)
        after = world
        if is_wider(limit, before):
            # They widen the limit that git knows; that also counts for a job of an older commit.
            after = _resumed_by_people(world, rules)
            stops = frozenset(
                (each, limit if is_widened and is_wider(limit, most) else most)
                for each, most in world.stops
                for is_widened in [(each, most) not in after.stops or each == tip.block.id]
            )
            after = after._replace(stops=stops)
        name = f"limit the block {number} to {'a stop' if limit is STOP else limit}"
        yield from _commit(after, replace(tip, block=block), bounds, name)


def _commit(
    world: World, file: File, bounds: Bounds, name: str | None = None
) -> Iterator[tuple[str, World]]:
    if len(world.branch) < bounds.commits:
        said = name or f"merge {file.percentage} percent"
        yield f"{said} (commit {len(world.branch)})", world._replace(branch=(*world.branch, file))


def _roll_back(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """The safeguard limits a feature without an override."""
    if on_row(world.rows) is None:
        yield from _impose(world, "roll back", ROLLBACK_TO)


def _stop(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person or an escalation stops the feature."""
    yield from _impose(world, "stop", STOP)


def _impose(world: World, name: str, limit: Decimal | None) -> Iterator[tuple[str, World]]:
    """One transaction: the row, the rows that it supersedes, and the effective configuration."""
    if world.live is None:
        return
    made = override_of(world.made + 1, limit)
    outcome = imposed(world.live, world.desired, world.rows, made)
    if outcome is None:
        return
    live, rows = outcome
    stops = world.stops | {(made.id, limit)}
    if live == limited(world.desired, made):
        # A stop by hand cannot be distinguished from this one any more, and continues under its
        # name.
        stops = frozenset((each or made.id, most) for each, most in stops)
    yield name, world._replace(rows=rows, live=live, made=world.made + 1, stops=stops)


def _resume(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person resumes by command, in one transaction: the row that is on, the superseded rows, and live."""
    if world.live is None:
        return
    outcome = lifted(world.live, world.desired, world.rows)
    if outcome is not None:
        live, rows = outcome
        yield "resume", world._replace(rows=rows, live=live, stops=frozenset())


def _stop_by_hand(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person stops the feature by SQL, as in the runbook."""
    stopped = (Decimal(0), True)
    if world.live is not None and world.live != stopped:
        yield "stop by SQL", world._replace(live=stopped, stops=world.stops | {(None, STOP)})


_ACTS: Final[dict[str, Callable[[World, Bounds, Rules], Iterator[tuple[str, World]]]]] = {
    "merge": _merge,
    "remove": _remove,
    "put back": _put_back,
    "move away": _move_away,
    "move back": _move_back,
    "write": _write,
    "roll back": _roll_back,
    "stop": _stop,
    "edit": _edit,
    "resume": _resume,
    "stop by hand": _stop_by_hand,
}
