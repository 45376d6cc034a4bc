"""Small worlds: one feature, one branch, one database, and everybody who may act, as values.

A world is hashable and every act makes another, so that a search can try every order of acts. What an
apply does is decided by the real planning code; what people, the safeguard and write-back do is modelled
here, each step of write-back an act of its own after which it may be killed.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Final
from uuid import UUID

from reconciler.planning.basis import NOTHING_APPLIED, AppliedFeature, Basis, LastApplied
from reconciler.planning.configuration import Configuration
from reconciler.planning.effective import default_configuration
from reconciler.planning.live import Directory, Live, LiveFeature
from reconciler.planning.overrides import (
    NEVER_THERE,
    OverrideState,
    StoredOverride,
    Trace,
    is_narrower,
    narrow,
)
from reconciler.planning.planner import make_plan
from reconciler.rollout_file.model import Feature, Guards, Override, Rollout
from reconciler.targeting.categories import DEFAULT_THRESHOLDS

FEATURE: Final = "feature"
ROLLBACK_TO: Final = Decimal(5)
STOP: Final = None
"""A limit is a percentage, or this."""

_DIRECTORY = Directory(ids={}, names={}, owned={})
_MOMENT = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class File:
    """What the rollout file says at one commit."""

    percentage: int
    block: Override | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass of write-back on its way: what it read in the database, then the commit it made."""

    rows: tuple["Row", ...]
    commit: tuple[int, File] | None = None
    """The commits that the tip had, and the file to be pushed onto it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `rollout_override`."""

    override: Override
    state: OverrideState
    superseded_by: UUID | None = None
    removals: int = 0


@dataclass(frozen=True, slots=True)
class World:
    """Everything that is, at one moment."""

    branch: tuple[File, ...] = (File(20),)
    applied: int = -1
    """The index of the commit applied last."""
    intended: int = 0
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
    """What write-back, the commands and the job go by; a test takes one away at a time."""

    has_git: bool = True
    """Without it there is one file at a time, no history, and no write-back."""
    asks_git_of_what_is_superseded: bool = True
    refuses_stale: bool = True
    resumes_whole: bool = True
    adds_only_what_never_was_there: bool = True
    removes_what_is_off: bool = True
    replaces_what_is_out: bool = True
    leaves_what_people_put_back: bool = True
    leaves_what_it_does_not_know: bool = True


@dataclass(frozen=True, slots=True)
class Violation:
    """A claim that does not hold, and the acts that lead there."""

    claim: str
    trace: tuple[str, ...]


@dataclass
class Search:
    """A breadth-first search of all worlds within bounds; the first violation has the shortest trace."""

    bounds: Bounds
    rules: Rules = field(default_factory=Rules)
    seen: dict[World, tuple[World, str] | None] = field(default_factory=dict)

    def run(self) -> Violation | None:
        """Look at every world that can come about, and return the first in which a claim fails."""
        apply_file.cache_clear()
        begin = World()
        self.seen[begin] = None
        frontier = [begin]
        while frontier:
            found: list[World] = []
            for world in frontier:
                for name, after in acts(world, self.bounds, self.rules):
                    if after in self.seen:
                        continue
                    self.seen[after] = (world, name)
                    if claim := failing_claim(after, self.rules):
                        return Violation(claim, self._trace(after))
                    found.append(after)
            frontier = found
        return None

    def _trace(self, world: World) -> tuple[str, ...]:
        steps: list[str] = []
        while (before := self.seen[world]) is not None:
            world, name = before
            steps.append(name)
        return tuple(reversed(steps))


def failing_claim(world: World, rules: Rules) -> str | None:
    """Return the claim that does not hold in a world."""
    if world.live is not None:
        percentage, stopped = world.live
        for _, limit in world.stops:
            if not stopped and (limit is STOP or percentage > limit):
                return "stopped stays stopped until a person resumes"
    if max(Counter(world.entered).values(), default=0) > 1:
        return "each id enters git by write-back at most once"
    if is_at_rest(world, rules):
        if rules.has_git and not _tip_says_what_is(world, rules):
            return "at rest, live is what the tip of the branch says"
        if not rules.has_git and not _file_is_heeded(world):
            return "without git, a block that came is in force and one that went is not"
    return None


def is_at_rest(world: World, rules: Rules) -> bool:
    """Tell whether no job and no write-back has anything to do, and nobody changed live by hand."""
    tip = len(world.branch) - 1
    return (
        world.applied == tip
        and world.write_back is None
        and (not rules.has_git or write_back_edit(world.rows, world.branch, rules) is None)
        and world.live == effective(world.intended, on_row(world.rows))
    )


def _tip_says_what_is(world: World, rules: Rules) -> bool:
    """Tell whether the branch says what is live, and the rows are settled by it."""
    tip = world.branch[-1]
    in_force = on_row(world.rows)
    again = _apply(world, len(world.branch) - 1, rules)
    waiting = [row for row in again.rows if row.state is OverrideState.OFF]
    return (
        world.live == again.live == limited(tip.percentage, tip.block)
        and (None if in_force is None else in_force.override.id) == identifier(tip.block)
        and not any(trace(world.branch, row.override.id).was_there for row in waiting)
    )


def _file_is_heeded(world: World) -> bool:
    """Tell whether the file and what it never had, together, say what is live."""
    tip = world.branch[-1]
    on = on_row(world.rows)
    if on is not None and on.override.id in world.seen and identifier(tip.block) != on.override.id:
        return False
    row = row_of(tip.block, world.rows)
    # What was resumed, or superseded, while it stood there is for people to remove.
    was_settled_there = row is not None and row.state is not OverrideState.ON
    in_force = None if on is None else on.override
    return (was_settled_there or in_force == tip.block or tip.block is None) and (
        world.live == limited(tip.percentage, in_force)
    )


# What is done, by whom.


def acts(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """Return every act that is possible in a world, and the world after it."""
    yield from _jobs(world, rules)
    if rules.has_git:
        yield from _write_back(world, bounds, rules)
    done = dict(world.acts)
    if sum(done.values()) >= bounds.together:
        return
    for name, most in bounds.acts:
        if done.get(name, 0) < most:
            counted = tuple(sorted((done | {name: done.get(name, 0) + 1}).items()))
            for label, after in _ACTS[name](world, bounds, rules):
                yield label, replace(after, acts=counted)


def _jobs(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Any merge's job may run at any time, and again."""
    tip = len(world.branch) - 1
    for index in range(0 if rules.has_git else tip, tip + 1):
        if index < world.applied and rules.refuses_stale:
            continue
        after = _apply(world, index, rules)
        if after != world:
            yield f"apply commit {index}", after


def _merge(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    tip = world.branch[-1]
    yield from _commit(world, replace(tip, percentage=30 if tip.percentage == 20 else 20), bounds)


def _remove(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person removes the block: that resumes what git knew, and nothing else."""
    tip = world.branch[-1]
    if tip.block is not None:
        after = _resumed_by_people(world, rules)
        yield from _commit(after, replace(tip, block=None), bounds, "remove the block")


def _put_back(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person brings a block back that the branch had: where another stands now, in its place.

    Without git it may be any that the database knows, since people are all the write-back there is.
    """
    tip = world.branch[-1]
    had = {file.block.id: file.block for file in world.branch if file.block is not None}
    if not rules.has_git:
        had |= {row.override.id: row.override for row in world.rows}
    for block in had.values():
        if block != tip.block:
            after = world if tip.block is None else _resumed_by_people(world, rules)
            name = f"put the block {block.id.int} back"
            yield from _commit(after, replace(tip, block=block), bounds, name)


def _resumed_by_people(world: World, rules: Rules) -> World:
    """Return a world whose next commit is a person's and leaves nothing of what the file had before."""

    def is_known(override: UUID) -> bool:
        if rules.has_git:
            return trace(world.branch, override).was_there
        return override in world.seen

    stops = frozenset(each for each in world.stops if each[0] is None or not is_known(each[0]))
    return replace(world, stops=stops, removals=(*world.removals, len(world.branch)))


def _is_resumed_since(world: World, index: int, override: UUID) -> bool:
    return any(
        removal > index and trace(world.branch[:removal], override).was_there
        for removal in world.removals
    )


def _write(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person writes a stop into the file by hand."""
    tip = world.branch[-1]
    if tip.block is None:
        block = _override(world.made + 1, STOP)
        after = replace(world, made=world.made + 1)
        yield from _commit(after, replace(tip, block=block), bounds, "write a stop by hand")


def _commit(
    world: World, file: File, bounds: Bounds, name: str | None = None
) -> Iterator[tuple[str, World]]:
    if len(world.branch) < bounds.commits:
        said = name or f"merge {file.percentage} percent"
        yield f"{said} (commit {len(world.branch)})", replace(world, branch=(*world.branch, file))


def _roll_back(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """The safeguard limits a feature that is under no override."""
    if world.live is not None and on_row(world.rows) is None:
        yield "roll back", _limit(world, ROLLBACK_TO)


def _stop(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person or an escalation stops; what is as narrow already is refused."""
    on = on_row(world.rows)
    made = _override(world.made + 1, STOP)
    if world.live is not None and (on is None or is_narrower(made, on.override)):
        yield "stop", _limit(world, STOP)


def _limit(world: World, limit: Decimal | None) -> World:
    """One transaction: the row, what it supersedes, and the effective configuration."""
    assert world.live is not None
    made = _override(world.made + 1, limit)
    rows = tuple(
        replace(row, state=OverrideState.DONE, superseded_by=made.id)
        if row.state is OverrideState.ON
        else row
        for row in world.rows
    )
    percentage, stopped = world.live
    narrowed = narrow(_configuration(percentage, stopped), made)
    live = (narrowed.percentage, narrowed.emergency_stop)
    stops = world.stops | {(made.id, limit)}
    if live == limited(world.intended, made):
        # What was stopped by hand is not to be told from this any more, and goes on under its name.
        stops = frozenset((each or made.id, most) for each, most in stops)
    rows = (*rows, Row(made, OverrideState.ON))
    return replace(world, rows=rows, live=live, made=world.made + 1, stops=stops)


def _resume(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """A person resumes by command: the one on, those that it superseded, and live, in one transaction."""
    on = on_row(world.rows)
    if on is None:
        return
    off = {on.override.id}
    if rules.resumes_whole:
        while more := {r.override.id for r in world.rows if r.superseded_by in off} - off:
            off |= more
    rows = tuple(
        replace(row, state=OverrideState.OFF) if row.override.id in off else row
        for row in world.rows
    )
    live = effective(world.intended, None)
    yield "resume", replace(world, rows=rows, live=live, stops=frozenset())


def _stop_by_hand(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
    """Somebody stops by SQL, as the runbook says."""
    stopped = (Decimal(0), True)
    if world.live is not None and world.live != stopped:
        yield "stop by SQL", replace(world, live=stopped, stops=world.stops | {(None, STOP)})


_ACTS: Final[dict[str, Callable[[World, Bounds, Rules], Iterator[tuple[str, World]]]]] = {
    "merge": _merge,
    "remove": _remove,
    "put back": _put_back,
    "write": _write,
    "roll back": _roll_back,
    "stop": _stop,
    "resume": _resume,
    "stop by hand": _stop_by_hand,
}


# Write-back, step by step.


def _write_back(world: World, bounds: Bounds, rules: Rules) -> Iterator[tuple[str, World]]:
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


# An apply, by the real code.


def _apply(world: World, index: int, rules: Rules) -> World:
    file = world.branch[index]
    traces = _traces(world, index, rules) if rules.has_git else ()
    seen = world.seen if file.block is None or rules.has_git else world.seen | {file.block.id}
    world = replace(world, seen=seen)
    done = apply_file(
        file, traces, world.intended, world.block, world.live, world.rows, world.generation
    )
    if done.changed:
        kept = done.kept
        rows, made = done.rows, world.made
        stops = world.stops
        by_hand = on_row(world.rows)
        name = None if by_hand is None else by_hand.override.id
        if kept is not None:
            made += 1
            name = UUID(int=made)
            rows = tuple(_renamed(row, kept, name) for row in rows)
        if name is not None:
            # What was stopped by hand goes on under the name of what keeps it, or was on already.
            stops = frozenset((each or name, limit) for each, limit in stops)
        in_force = on_row(rows)
        if in_force is not None:
            override = in_force.override
            if not _is_resumed_since(world, index, override.id):
                stops |= {(override.id, override.percentage)}
        return replace(
            world,
            applied=index,
            intended=file.percentage,
            block=identifier(file.block),
            live=done.live,
            rows=rows,
            generation=world.generation + 1 if kept is not None else world.generation,
            made=made,
            stops=stops,
        )
    return replace(world, applied=index)


def _traces(world: World, index: int, rules: Rules) -> tuple[tuple[UUID, Trace], ...]:
    """Return what git tells of the overrides that it is asked of."""
    block = identifier(world.branch[index].block)
    asked = {block} | {
        row.override.id
        for row in world.rows
        if row.state is not OverrideState.DONE
        or (row.superseded_by is not None and rules.asks_git_of_what_is_superseded)
    }
    history = world.branch[: index + 1]
    known = sorted(each for each in asked if each is not None)
    return tuple((each, trace(history, each)) for each in known)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an apply leaves in the database."""

    changed: bool
    live: tuple[Decimal, bool]
    rows: tuple[Row, ...]
    kept: UUID | None


@cache
def apply_file(  # noqa: PLR0917 - cached by position
    file: File,
    traces: tuple[tuple[UUID, Trace], ...],
    intended: int,
    block: UUID | None,
    live: tuple[Decimal, bool] | None,
    rows: tuple[Row, ...],
    generation: int,
) -> Outcome:
    """Plan with the real code, and return what writing the plan leaves."""
    features, applied = {}, NOTHING_APPLIED
    if live is not None:
        stored = tuple(
            StoredOverride(row.override, row.state, row.superseded_by, row.removals) for row in rows
        )
        features[FEATURE] = LiveFeature(UUID(int=0), _configuration(*live), _MOMENT, stored)
        applied = LastApplied({FEATURE: AppliedFeature(_configuration(intended, False), block)})
    basis = Basis(
        Live(generation, None, features, frozenset(), DEFAULT_THRESHOLDS, _DIRECTORY),
        applied,
        dict(traces),
    )
    plan = make_plan(_rollout(file), basis)
    assert not plan.is_refused, plan.refusing
    (feature,) = plan.features
    written = {row.id: row for row in feature.overrides.written}
    settled = {row.override.id: row for row in rows} | {
        each.id: Row(each.override, each.state, each.superseded_by, each.removals)
        for each in written.values()
    }
    after = feature.after
    if not plan.has_changes:
        assert live is not None
        return Outcome(False, live, rows, None)
    kept = feature.overrides.kept
    return Outcome(
        True,
        (after.percentage, after.emergency_stop),
        tuple(settled.values()),
        None if kept is None else kept.id,
    )


def _renamed(row: Row, old: UUID, new: UUID) -> Row:
    """Count kept drift's id up as the others', so that equal worlds are one."""
    if row.override.id == old:
        return replace(row, override=_override(new.int, row.override.percentage))
    return replace(row, superseded_by=new) if row.superseded_by == old else row


@cache
def trace(branch: tuple[File, ...], override: UUID) -> Trace:
    """Return what a history tells of an id, as `git.overrides` reads it."""
    there = [identifier(file.block) == override for file in branch]
    if not any(there):
        return NEVER_THERE
    removals = sum(before and not after for before, after in pairwise(there))
    return Trace(was_there=True, removals=removals)


# What things are.


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
    narrowed = narrow(_configuration(percentage, False), override)
    return narrowed.percentage, narrowed.emergency_stop


@cache
def _configuration(percentage: int | Decimal, stopped: bool) -> Configuration:
    return replace(
        default_configuration(FEATURE), percentage=Decimal(percentage), emergency_stop=stopped
    )


class _Override(Override):
    """Told from others by its id and limit alone, which is quicker than by all that it says."""

    def __hash__(self) -> int:
        return self.id.int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Override) and (self.id, self.percentage) == (
            other.id,
            other.percentage,
        )


@cache
def _override(number: int, limit: Decimal | None) -> Override:
    return _Override(
        id=UUID(int=number),
        percentage=limit,
        emergency_stop=True if limit is STOP else None,
        reason="why",
        by="somebody",
        at=_MOMENT,
    )


@cache
def _rollout(file: File) -> Rollout:
    feature = Feature(
        percentage=Decimal(file.percentage),
        override=file.block,
        guards=Guards(max_increase=Decimal(100)),
    )
    return Rollout(version=1, features={FEATURE: feature})
