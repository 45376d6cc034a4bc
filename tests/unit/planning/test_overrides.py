"""The life of an override: one test for each row of its table."""

from decimal import Decimal
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import given

from reconciler.planning.overrides import (
    OverrideState,
    Settlement,
    StoredOverride,
    Trace,
    is_narrower,
    narrow,
    settle_overrides,
)
from reconciler.planning.plan import FeaturePlan
from reconciler.rollout_file.model import Feature
from reconciler.rollout_file.override import Override
from tests.builders import override
from tests.unit.planning.situations import configuration, feature, plan_feature

ON, OFF, DONE = OverrideState.ON, OverrideState.OFF, OverrideState.DONE
ROLLBACK, STOP = override(1, 5), override(2)
THERE = Trace(was_there=True)
REMOVED = Trace(was_there=True, removals=1)
NEVER = Trace()


def traces(trace: Trace) -> dict[UUID, Trace]:
    return {ROLLBACK.id: trace}


def states(settlement: Settlement) -> dict[UUID, OverrideState]:
    return {row.id: row.state for row in settlement.written}


def test_on_and_in_the_file_is_in_force() -> None:
    settled = settle_overrides(ROLLBACK, [StoredOverride(ROLLBACK, ON)], traces(THERE))

    assert settled == Settlement(ROLLBACK, (), ())


def test_on_and_never_in_the_file_is_in_force() -> None:
    settled = settle_overrides(None, [StoredOverride(ROLLBACK, ON)], traces(NEVER))

    assert settled == Settlement(ROLLBACK, (), ())


def test_on_and_removed_from_the_file_is_done_and_resumed() -> None:
    settled = settle_overrides(None, [StoredOverride(ROLLBACK, ON)], traces(REMOVED))

    assert settled.in_force is None
    assert states(settled) == {ROLLBACK.id: DONE}
    assert settled.resumed == (ROLLBACK,)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(StoredOverride(ROLLBACK, OFF), id="off"),
        pytest.param(StoredOverride(ROLLBACK, DONE, superseded_by=STOP.id), id="superseded"),
    ],
)
def test_off_or_superseded_and_still_in_the_file_is_ignored(row: StoredOverride) -> None:
    assert settle_overrides(ROLLBACK, [row], traces(THERE)) == Settlement(None, (), ())


def test_off_and_gone_from_the_file_is_done_and_not_resumed_again() -> None:
    settled = settle_overrides(None, [StoredOverride(ROLLBACK, OFF)], traces(REMOVED))

    assert states(settled) == {ROLLBACK.id: DONE}
    assert settled.resumed == ()


def test_off_and_not_in_the_file_yet_waits() -> None:
    settled = settle_overrides(None, [StoredOverride(ROLLBACK, OFF)], traces(NEVER))

    assert settled == Settlement(None, (), ())


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(StoredOverride(ROLLBACK, OFF), id="off"),
        pytest.param(StoredOverride(ROLLBACK, DONE), id="done"),
        pytest.param(StoredOverride(ROLLBACK, DONE, superseded_by=STOP.id), id="superseded"),
    ],
)
def test_put_back_after_a_removal_is_on_again(row: StoredOverride) -> None:
    settled = settle_overrides(ROLLBACK, [row], traces(REMOVED))

    assert settled.in_force == ROLLBACK
    assert settled.written == (StoredOverride(ROLLBACK, ON, removals=1),)


def test_a_removal_from_before_the_row_was_seen_there_is_none_in_between() -> None:
    row = StoredOverride(ROLLBACK, OFF, removals=1)

    assert settle_overrides(ROLLBACK, [row], traces(REMOVED)) == Settlement(None, (), ())


def test_an_id_that_the_database_does_not_know_is_on() -> None:
    settled = settle_overrides(ROLLBACK, [], traces(REMOVED))

    assert settled.in_force == ROLLBACK
    assert settled.written == (StoredOverride(ROLLBACK, ON, removals=1),)


def test_of_two_the_narrower_is_on_and_supersedes_the_other() -> None:
    settled = settle_overrides(STOP, [StoredOverride(ROLLBACK, ON)], traces(NEVER))

    assert settled.in_force == STOP
    assert set(settled.written) == {
        StoredOverride(ROLLBACK, DONE, superseded_by=STOP.id),
        StoredOverride(STOP, ON),
    }
    assert settled.resumed == ()


SUPERSEDED = StoredOverride(ROLLBACK, DONE, superseded_by=STOP.id)


def test_an_override_is_on_again_when_its_successor_is_removed() -> None:
    rows = [SUPERSEDED, StoredOverride(STOP, ON)]

    settled = settle_overrides(None, rows, {STOP.id: REMOVED, ROLLBACK.id: NEVER})

    assert settled.in_force == ROLLBACK
    assert settled.resumed == (STOP,)


@pytest.mark.parametrize("known", [{ROLLBACK.id: REMOVED}, {}], ids=["in git", "not asked"])
def test_a_superseded_override_is_resumed_with_its_successor(
    known: dict[UUID, Trace],
) -> None:
    rows = [SUPERSEDED, StoredOverride(STOP, ON)]

    settled = settle_overrides(None, rows, {STOP.id: REMOVED, **known})

    assert settled.in_force is None


def test_after_a_resume_by_command_no_override_comes_back() -> None:
    rows = [StoredOverride(ROLLBACK, OFF, superseded_by=STOP.id), StoredOverride(STOP, OFF)]

    settled = settle_overrides(None, rows, {STOP.id: REMOVED, ROLLBACK.id: NEVER})

    assert settled.in_force is None


FILE = feature(percentage=50)
FILE_WITH_BLOCK = feature(percentage=50, override=ROLLBACK)
LIMITED = configuration(FILE, percentage=Decimal(5))


def test_without_git_a_block_gone_since_the_last_apply_is_a_resume() -> None:
    plan = plan_feature(
        FILE,
        applied=FILE_WITH_BLOCK,
        live=LIMITED,
        overrides=(StoredOverride(ROLLBACK, ON),),
    )

    assert plan.overrides.resumed == (ROLLBACK,)
    assert plan.after.percentage == 50


def test_without_git_a_block_that_no_apply_saw_is_no_resume() -> None:
    plan = plan_feature(FILE, applied=FILE, live=LIMITED, overrides=(StoredOverride(ROLLBACK, ON),))

    assert plan.overrides.in_force == ROLLBACK
    assert plan.overrides.written == ()


def test_without_git_an_apply_records_a_block_it_saw() -> None:
    plan = plan_feature(
        FILE_WITH_BLOCK, applied=FILE, live=LIMITED, overrides=(StoredOverride(ROLLBACK, ON),)
    )

    assert plan.changes == ()
    assert plan.overrides.written == (StoredOverride(ROLLBACK, ON, removals=1),)


def test_an_apply_stores_a_desired_state_hidden_by_an_override() -> None:
    row = StoredOverride(ROLLBACK, ON)

    moved = plan_feature(
        feature(percentage=60),
        applied=FILE,
        live=LIMITED,
        overrides=(row,),
        traces={ROLLBACK.id: NEVER},
    )
    same = plan_feature(
        FILE, applied=FILE, live=LIMITED, overrides=(row,), traces={ROLLBACK.id: NEVER}
    )

    assert (moved.changes, moved.overrides.written, moved.is_newly_desired) == ((), (), True)
    assert not same.is_newly_desired


PERCENTAGES = st.decimals(0, 100, places=2)


@given(
    percentage=PERCENTAGES,
    limit=st.none() | PERCENTAGES,
    stopped=st.booleans(),
    active=st.booleans(),
)
def test_an_override_never_widens(
    percentage: Decimal, limit: Decimal | None, stopped: bool, active: bool
) -> None:
    before = configuration(percentage=percentage, emergency_stop=stopped, active=active)
    limited = ROLLBACK.model_copy(
        update={"percentage": limit, "emergency_stop": True if limit is None else None}
    )

    after = narrow(before, limited)

    assert after.percentage <= before.percentage
    assert after.emergency_stop >= before.emergency_stop
    assert after.active == before.active
    assert after.emergency_stop or (limit is not None and after.percentage <= limit)
    assert narrow(before, None) == before


def test_a_stop_is_narrower_than_every_percentage() -> None:
    assert is_narrower(STOP, override(3, 0))
    assert is_narrower(override(3, 0), ROLLBACK)
    assert not is_narrower(ROLLBACK, ROLLBACK)


LIMIT = override(1, 20)
HUNDRED = feature(percentage=100)


def limited_by(block: Override | None) -> Feature:
    return HUNDRED.model_copy(update={"override": block})


def plan_edit(
    before: Override, after: Override | None, *, live: Decimal | None = None
) -> FeaturePlan:
    """Return the plan of a file with another block, after the earlier block was applied."""
    is_removed = after is None or after.id != before.id
    return plan_feature(
        limited_by(after),
        applied=limited_by(before),
        live=narrow(
            configuration(HUNDRED, **({} if live is None else {"percentage": live})), before
        ),
        overrides=(StoredOverride(before, ON),),
        traces={before.id: REMOVED if is_removed else THERE},
    )


@pytest.mark.parametrize("limit", [5, 0, None])
def test_a_limit_that_people_lower_in_the_file_is_in_force(limit: int | None) -> None:
    block = override(1, limit)

    plan = plan_edit(LIMIT, block)

    assert plan.overrides.in_force == block
    assert plan.overrides.written == (StoredOverride(block, ON),)
    assert plan.after == narrow(configuration(HUNDRED), block)
    assert {each.field.name for each in plan.changes} == (
        {"percentage", "emergency_stop"} if limit is None else {"percentage"}
    )
    assert (plan.drift, plan.findings, plan.overrides.resumed) == ((), (), ())


def test_a_stop_that_people_turn_into_a_limit_in_the_file_is_that_limit() -> None:
    plan = plan_edit(override(1), LIMIT)

    assert not plan.after.emergency_stop
    assert plan.after.percentage == 20
    assert plan.overrides.written == (StoredOverride(LIMIT, ON),)
    assert plan.overrides.resumed == ()


@pytest.mark.parametrize(
    "wider",
    [pytest.param(override(1, 60), id="edited"), pytest.param(override(2, 60), id="replaced")],
)
def test_a_limit_that_people_widen_is_guarded_as_an_increase(wider: Override) -> None:
    plan = plan_edit(LIMIT, wider)

    assert plan.after.percentage == 60
    (finding,) = plan.findings
    assert finding.message == ("percentage 20 → 60 is 40 points at once, at most 25 are allowed")


def test_a_limit_edited_above_the_percentage_limits_nothing_and_warns() -> None:
    before = feature(percentage=30, override=LIMIT)
    after = feature(percentage=30, override=override(1, 40))

    plan = plan_feature(
        after,
        applied=before,
        live=configuration(before, percentage=Decimal(20)),
        overrides=(StoredOverride(LIMIT, ON),),
        traces={LIMIT.id: THERE},
    )

    assert plan.after.percentage == 30
    assert plan.warnings == (
        "the override's limit of 40 is above the percentage 30: it limits nothing",
    )


def test_an_edited_limit_and_a_narrowing_by_sql_leave_the_narrower() -> None:
    plan = plan_feature(
        limited_by(override(1, 30)),
        applied=limited_by(LIMIT),
        live=configuration(HUNDRED, percentage=Decimal(10)),
        overrides=(StoredOverride(LIMIT, ON),),
        traces={LIMIT.id: THERE},
    )

    assert plan.overrides.kept is not None
    assert plan.overrides.in_force == plan.overrides.kept
    assert plan.after.percentage == 10


def test_a_block_replaced_by_hand_is_superseded_and_not_resumed() -> None:
    stop = override(2)

    plan = plan_edit(LIMIT, stop)

    assert plan.overrides.in_force == stop
    assert plan.overrides.resumed == ()
    assert set(plan.overrides.written) == {
        StoredOverride(LIMIT, DONE, superseded_by=stop.id),
        StoredOverride(stop, ON, removals=0),
    }


def test_a_resume_by_the_file_counts_its_stop_once() -> None:
    stop = override(1)

    plan = plan_edit(stop, None)

    assert plan.overrides.resumed == (stop,)
    assert [each.field.name for each in plan.changes] == ["emergency_stop", "percentage"]
    assert [each.field.name for each in plan.recorded] == ["percentage"]
    assert plan.change_count == 2


def test_an_override_that_a_widened_one_superseded_is_on_again() -> None:
    held, stop = override(1, 5), override(2)
    widened = override(2, 50)
    rows = [StoredOverride(held, DONE, superseded_by=stop.id), StoredOverride(stop, ON)]

    settled = settle_overrides(widened, rows, {held.id: NEVER, stop.id: THERE})

    assert settled.in_force == held
    assert states(settled) == {held.id: ON, stop.id: DONE}


def test_the_id_of_another_feature_is_a_new_row() -> None:
    moved = override(1, 5)

    plan = plan_feature(
        feature(percentage=50, override=moved),
        applied=feature(percentage=50),
        traces={moved.id: THERE},
    )

    assert plan.overrides.in_force == moved
    assert plan.overrides.written == (StoredOverride(moved, ON),)
