"""The claims, and the search of every reachable world."""

from collections import Counter
from dataclasses import dataclass, field

from reconciler.planning.overrides import OverrideState
from tests.unit.worlds.acting import imposed, lifted
from tests.unit.worlds.acts import acts
from tests.unit.worlds.applying import apply, apply_file
from tests.unit.worlds.values import (
    STOP,
    Bounds,
    Rules,
    World,
    effective,
    identifier,
    limited,
    on_row,
    row_of,
    trace,
)
from tests.unit.worlds.write_back import is_pending, write_back_edit


@dataclass(frozen=True, slots=True)
class Violation:
    """A claim that does not hold, and the acts that lead to it."""

    claim: str
    trace: tuple[str, ...]


@dataclass
class Search:
    """A breadth-first search of all worlds within bounds; the first violation has the shortest trace."""

    bounds: Bounds
    rules: Rules = field(default_factory=Rules)
    seen: dict[World, tuple[World, str] | None] = field(default_factory=dict)

    def run(self) -> Violation | None:
        """Search every reachable world, and return the first in which a claim fails."""
        for decided in (apply_file, imposed, lifted):
            decided.cache_clear()
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
        if rules.has_git and is_pending(world.rows, world.branch):
            return "at rest, write-back has nothing to look after"
        if not rules.has_git and not _file_is_heeded(world):
            return "without git, a block that came is in force and one that went is not"
    return None


def is_at_rest(world: World, rules: Rules) -> bool:
    """Return whether no job and no write-back is pending, and live was not changed by hand."""
    tip = len(world.branch) - 1
    return (
        world.applied == tip
        and world.write_back is None
        and (not rules.has_git or write_back_edit(world.rows, world.branch) is None)
        and world.live == effective(world.desired, on_row(world.rows))
    )


def _tip_says_what_is(world: World, rules: Rules) -> bool:
    """Return whether the branch equals the live state, and the rows are settled."""
    tip = world.branch[-1]
    in_force = on_row(world.rows)
    again = apply(world, len(world.branch) - 1, rules)
    waiting = [row for row in again.rows if row.state is OverrideState.OFF]
    return (
        world.live == again.live == limited(tip.percentage, tip.block)
        and (None if in_force is None else in_force.override.id) == identifier(tip.block)
        and not any(trace(world.branch, row.override.id).was_there for row in waiting)
    )


def _file_is_heeded(world: World) -> bool:
    """Return whether the file and the overrides that it never had give the live state."""
    tip = world.branch[-1]
    on = on_row(world.rows)
    if on is not None and on.override.id in world.seen and identifier(tip.block) != on.override.id:
        return False
    row = row_of(tip.block, world.rows)
    # People remove the block of an override that was resumed or superseded while it was in the
    # file.
    was_settled_there = row is not None and row.state is not OverrideState.ON
    in_force = None if on is None else on.override
    return (was_settled_there or in_force == tip.block or tip.block is None) and (
        world.live == limited(tip.percentage, in_force)
    )
