"""The dates of stages: what is left of a soak, and when each later stage may come."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from reconciler.planning.health import Health, HealthLimits, Judgement, Period, Verdict
from reconciler.planning.stage_dates import StageDate, StageState, list_stage_dates
from reconciler.planning.stages import Soaking
from reconciler.rollout_file.freezes import Freeze
from reconciler.rollout_file.model import Stage
from tests.builders import MOMENT

DAY = timedelta(days=1)
STAGES = tuple(Stage(percentage=Decimal(each), soak=DAY) for each in (10, 25, 50))


def soaking(since: timedelta, inactive: timedelta = timedelta(0)) -> Soaking:
    limits = HealthLimits(max_error_rate=Decimal(5), min_jobs=10)
    health = Health(Judgement(Verdict.PASS), None, limits, Period(MOMENT, DAY))
    return Soaking(MOMENT, MOMENT - since, health, inactive)


def states(dates: Sequence[StageDate]) -> list[StageState]:
    return [each.state for each in dates]


@pytest.mark.parametrize(
    ("percentage", "expected"),
    [(0, "ooo"), (5, "ooo"), (10, "coo"), (12, "coo"), (25, "dco"), (50, "ddc"), (100, "ddc")],
)
def test_each_stage_is_done_current_or_coming(percentage: int, expected: str) -> None:
    found = list_stage_dates(STAGES, Decimal(percentage), None, MOMENT)
    letters = {StageState.DONE: "d", StageState.CURRENT: "c", StageState.COMING: "o"}

    assert "".join(letters[each] for each in states(found)) == expected


def test_each_later_stage_waits_for_the_soak_of_the_one_before() -> None:
    first, second, third = list_stage_dates(
        STAGES, Decimal(10), soaking(timedelta(hours=6)), MOMENT
    )

    assert first.soak_left == timedelta(hours=18)
    assert second.may_come_at == MOMENT + timedelta(hours=18)
    assert third.may_come_at == MOMENT + timedelta(hours=42)


def test_time_without_the_feature_does_not_soak() -> None:
    first, *_ = list_stage_dates(
        STAGES, Decimal(10), soaking(timedelta(hours=6), timedelta(hours=2)), MOMENT
    )

    assert first.soak_left == timedelta(hours=20)


def test_a_stage_that_has_soaked_lets_the_next_one_come_now() -> None:
    first, second, _ = list_stage_dates(STAGES, Decimal(10), soaking(3 * DAY), MOMENT)

    assert (first.soak_left, second.may_come_at) == (timedelta(0), MOMENT)


def test_a_limited_feature_has_no_dates() -> None:
    found = list_stage_dates(STAGES, Decimal(10), None, MOMENT)

    assert [(each.soak_left, each.may_come_at) for each in found] == [(None, None)] * 3


def test_the_first_stage_needs_no_soak() -> None:
    first, second, _ = list_stage_dates(STAGES, Decimal(0), None, MOMENT)

    assert (first.may_come_at, second.may_come_at) == (MOMENT, MOMENT + DAY)


def test_a_stage_comes_not_before_its_date_and_not_in_a_freeze() -> None:
    date = MOMENT + 5 * DAY
    stages = (STAGES[0], STAGES[1].model_copy(update={"not_before": date}), STAGES[2])
    freeze = Freeze(
        name="f",
        begin=(date - DAY).replace(tzinfo=None, second=0, microsecond=0),
        end=(date + 2 * DAY).replace(tzinfo=None, second=0, microsecond=0),
    )

    _, dated, _ = list_stage_dates(stages, Decimal(10), soaking(3 * DAY), MOMENT)
    _, frozen, after = list_stage_dates(stages, Decimal(10), soaking(3 * DAY), MOMENT, (freeze,))

    end = (date + 2 * DAY).replace(second=0, microsecond=0)
    assert dated.may_come_at == date
    assert (frozen.may_come_at, after.may_come_at) == (end, end + DAY)
