"""The decisions of write-back about one feature, with one example of each."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from reconciler.planning.overrides import OverrideState, StoredOverride, Trace
from reconciler.planning.write_back import (
    Add,
    Decision,
    Nothing,
    Remove,
    Replace,
    Tip,
    Wait,
    Why,
    decide,
    seen_in_git,
)
from reconciler.rollout_file.override import Override
from tests.builders import override

STOP, HOLD = override(1), override(2, percentage=20)
ON = StoredOverride(STOP, OverrideState.ON)
OFF = StoredOverride(STOP, OverrideState.OFF)
SUPERSEDED = StoredOverride(HOLD, OverrideState.DONE, superseded_by=STOP.id)
HELD = StoredOverride(HOLD, OverrideState.ON)

EMPTY = Tip(Decimal(50), None)
THERE, REMOVED, PUT_BACK = Trace(True, 0), Trace(True, 1), Trace(True, 1)


def tip(block: Override) -> Tip:
    return replace(EMPTY, block=block)


@pytest.mark.parametrize(
    ("at_tip", "rows", "traces", "decision"),
    [
        pytest.param(EMPTY, [ON], {}, Add(STOP), id="never there"),
        pytest.param(tip(STOP), [ON], {STOP.id: THERE}, Nothing(), id="there"),
        pytest.param(EMPTY, [ON], {STOP.id: REMOVED}, Nothing(), id="people removed it"),
        pytest.param(
            tip(HOLD), [SUPERSEDED, ON], {HOLD.id: THERE}, Replace(STOP, HOLD.id), id="superseded"
        ),
        pytest.param(
            tip(HOLD),
            [SUPERSEDED, ON],
            {HOLD.id: PUT_BACK},
            Wait(Why.OTHER_PUT_BACK),
            id="people put the superseded one back",
        ),
        pytest.param(tip(HOLD), [ON], {}, Wait(Why.UNKNOWN_BLOCK), id="by hand"),
        pytest.param(None, [ON], {}, Wait(Why.NO_FEATURE), id="no such feature"),
        pytest.param(Tip(Decimal(10), None), [HELD], {}, Add(HOLD), id="wider than the file"),
        pytest.param(Tip(Decimal(20), None), [HELD], {}, Add(HOLD), id="as wide as the file"),
        pytest.param(tip(STOP), [OFF], {STOP.id: THERE}, Remove(STOP), id="resumed"),
        pytest.param(EMPTY, [OFF], {STOP.id: REMOVED}, Nothing(), id="resumed and gone"),
        pytest.param(
            tip(STOP), [OFF], {STOP.id: PUT_BACK}, Wait(Why.PUT_BACK), id="resumed and put back"
        ),
        pytest.param(tip(HOLD), [OFF], {}, Nothing(), id="resumed, and another by hand"),
        pytest.param(None, [OFF], {}, Nothing(), id="resumed, and no such feature"),
        pytest.param(EMPTY, [], {}, Nothing(), id="nothing ever"),
    ],
)
def test_a_decision_about_a_feature(
    at_tip: Tip | None,
    rows: list[StoredOverride],
    traces: dict[UUID, Trace],
    decision: Decision,
) -> None:
    assert decide(at_tip, rows, traces) == decision


def test_an_override_known_to_be_in_git_is_not_pending() -> None:
    assert seen_in_git(tip(STOP), [ON], {STOP.id: THERE}) == {STOP.id}
    assert seen_in_git(EMPTY, [ON], {STOP.id: REMOVED}) == {STOP.id}
    assert seen_in_git(EMPTY, [ON], {}) == frozenset()
    assert seen_in_git(tip(STOP), [OFF], {STOP.id: THERE}) == frozenset()
    assert seen_in_git(EMPTY, [OFF], {}) == {STOP.id}
    assert seen_in_git(EMPTY, [OFF], {}, proposed={STOP.id}) == frozenset()
    assert seen_in_git(tip(STOP), [replace(ON, state=OverrideState.DONE)], {}) == frozenset()
