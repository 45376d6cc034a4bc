"""An apply in a small world, decided by the real planning code."""

from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Final
from uuid import UUID

from reconciler.planning.live_state import Directory, Live, LiveFeature
from reconciler.planning.overrides import OverrideState, Trace
from reconciler.planning.plan_inputs import NOTHING_APPLIED, AppliedFeature, LastApplied, PlanInputs
from reconciler.planning.planner import make_plan
from reconciler.rollout_file.model import Feature, Guards, Rollout
from rollout_client.targeting.categories import DEFAULT_THRESHOLDS
from tests.unit.worlds.values import (
    FEATURE,
    MOMENT,
    File,
    Row,
    Rules,
    World,
    configuration,
    identifier,
    is_wider,
    on_row,
    override_of,
    row_of,
    trace,
)

_DIRECTORY: Final = Directory(ids={}, names={}, owned={})


def apply(world: World, index: int, rules: Rules) -> World:
    file = world.branch[index]
    traces = _traces(world, index, rules) if rules.has_git else ()
    seen = world.seen if file.block is None or rules.has_git else world.seen | {file.block.id}
    world = world._replace(seen=seen, stops=world.stops | _narrowed_by_edits(world, index))
    done = apply_file(
        file, traces, world.desired, world.block, world.live, world.rows, world.generation
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
            # A stop by hand continues under the name of the override that keeps it, or was on
            # already.
            stops = frozenset((each or name, limit) for each, limit in stops)
        in_force = on_row(rows)
        if in_force is not None:
            override = in_force.override
            if not _is_resumed_since(world, index, override.id):
                stops |= {(override.id, override.percentage)}
        return world._replace(
            applied=index,
            desired=file.percentage,
            block=identifier(file.block),
            live=done.live,
            rows=rows,
            generation=world.generation + 1 if kept is not None else world.generation,
            made=made,
            stops=stops,
        )
    return world._replace(applied=index)


def _narrowed_by_edits(world: World, index: int) -> frozenset[tuple[UUID | None, Decimal | None]]:
    """Return the limit to which people narrowed a block since the last apply, unless it was resumed."""
    block = world.branch[index].block
    row = row_of(block, world.rows)
    if block is None or row is None or row.state is OverrideState.OFF or index <= world.applied:
        return frozenset()
    if not is_wider(row.override.percentage, block.percentage):
        return frozenset()
    if _is_resumed_since(world, index, block.id):
        return frozenset()
    return frozenset({(block.id, block.percentage)})


def _traces(world: World, index: int, rules: Rules) -> tuple[tuple[UUID, Trace], ...]:
    """Return git's traces of the given overrides."""
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
    """The state that an apply leaves in the database."""

    changed: bool
    live: tuple[Decimal, bool]
    rows: tuple[Row, ...]
    kept: UUID | None


@cache
def apply_file(  # noqa: PLR0917 - cached by position
    file: File,
    traces: tuple[tuple[UUID, Trace], ...],
    desired: int,
    block: UUID | None,
    live: tuple[Decimal, bool] | None,
    rows: tuple[Row, ...],
    generation: int,
) -> Outcome:
    """Plan with the real code, and return the state after the plan is written."""
    features, applied = {}, NOTHING_APPLIED
    if live is not None:
        features[FEATURE] = LiveFeature(UUID(int=0), configuration(*live), MOMENT, rows)
        applied = LastApplied({FEATURE: AppliedFeature(configuration(desired, False), block)})
    inputs = PlanInputs(
        Live(generation, None, features, frozenset(), DEFAULT_THRESHOLDS, _DIRECTORY),
        applied,
        dict(traces),
    )
    plan = make_plan(_rollout(file), inputs)
    assert not plan.is_refused, plan.refusing
    (feature,) = plan.features
    written = {row.id: row for row in feature.overrides.written}
    settled = {row.id: row for row in rows} | written
    after = feature.after
    if not plan.makes_generation:
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
    """Count kept drift's id up like the other ids, so that equal worlds are one."""
    if row.override.id == old:
        return replace(row, override=override_of(new.int, row.override.percentage))
    return replace(row, superseded_by=new) if row.superseded_by == old else row


def _is_resumed_since(world: World, index: int, override: UUID) -> bool:
    return any(
        removal > index and trace(world.branch[:removal], override).was_there
        for removal in world.removals
    )


@cache
def _rollout(file: File) -> Rollout:
    feature = Feature(
        percentage=Decimal(file.percentage),
        override=file.block,
        guards=Guards(max_increase=Decimal(100)),
    )
    return Rollout(version=1, features={FEATURE: feature})
