"""Actions at once: the effect of setting or ending an override, and when the safeguard sets one."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Refused
from reconciler.planning.exposure import Exposure, Limit
from reconciler.planning.health import Health, HealthLimits, JobMetrics, Period, Tally, judge
from reconciler.planning.override_actions import (
    AUTO_ROLLBACK,
    RollbackSettings,
    Standing,
    automatic_limit,
    impose,
    lift,
    restore,
)
from reconciler.planning.overrides import OverrideState, StoredOverride, narrow
from reconciler.rollout_file.override import Override
from rollout_client.targeting.strategy import Strategy
from tests.builders import MOMENT, override

NOW = MOMENT + timedelta(minutes=10)
ROLLED_BACK_AT = MOMENT
SETTINGS = RollbackSettings(auto_rollback=True, rollback_to=Decimal(5))
STOP = Limit(None)


def exposure(percentage: int, *, stopped: bool = False, active: bool = True) -> Exposure:
    return Exposure(active, stopped, Decimal(percentage))


def on(each: Override) -> StoredOverride:
    return StoredOverride(each, OverrideState.ON)


def standing(*overrides: StoredOverride, live: Exposure | None = None) -> Standing:
    """A feature with 50 percent in the file; the override limits live unless live is given."""
    found = Standing(live or exposure(50), exposure(50), Strategy.PERCENTAGE, overrides)
    return found if live else replace(found, live=narrow(found.live, found.in_force))


def health(jobs: int, errors: int, *, limited_at: datetime | None = None) -> Health:
    metrics = JobMetrics(Tally(jobs, errors), newest_age=timedelta(0) if jobs else None)
    limits = HealthLimits(max_error_rate=Decimal(5), min_jobs=10)
    period = Period(NOW, timedelta(days=1), limited_at=limited_at)
    return Health(judge(metrics, eligible=1, limits=limits), metrics, limits, period)


def limit_for(
    found: Standing, settings: RollbackSettings, judged: Health, since: Health | None = None
) -> Limit | None:
    """Return the limit that the safeguard sets; without an override, the health since is the same."""
    return automatic_limit(found, settings, judged, since or judged)


def test_a_stop_sets_the_percentage_to_0() -> None:
    act = impose(standing(), override(1, None))

    assert act is not None
    assert act.after == exposure(0, stopped=True)
    assert act.written == (on(override(1, None)),)


def test_a_narrower_limit_supersedes_the_one_in_force() -> None:
    act = impose(standing(on(override(1, 25)), live=exposure(25)), override(2, 10))

    assert act is not None
    assert act.after == exposure(10)
    superseded, imposed = act.written
    assert (superseded.state, superseded.superseded_by) == (OverrideState.DONE, UUID(int=2))
    assert imposed == on(override(2, 10))


@pytest.mark.parametrize("limit", [10, None])
def test_the_same_limit_again_does_nothing(limit: int | None) -> None:
    assert impose(standing(on(override(1, limit))), override(2, limit)) is None


def test_a_wider_limit_is_refused() -> None:
    with pytest.raises(Refused, match=r"^the stop is in force, which allows less; nothing was"):
        impose(standing(on(override(1, None))), override(2, 10))


@pytest.mark.parametrize("percentage", [50, 75])
def test_a_rollback_to_the_desired_percentage_or_above_is_refused(percentage: int) -> None:
    with pytest.raises(Refused, match="is not a rollback"):
        impose(standing(), override(1, percentage))


def test_a_refused_rollback_names_the_percentage_that_sql_set() -> None:
    with pytest.raises(Refused, match=r"^the percentage is 80, so 90 is not a rollback"):
        impose(standing(live=exposure(80)), override(1, 90))


def test_a_percentage_under_a_stop_by_sql_is_not_the_widest() -> None:
    with pytest.raises(Refused, match=r"^the percentage is 50, so 60 is not a rollback"):
        impose(standing(live=exposure(80, stopped=True)), override(1, 60))


def test_a_percentage_has_no_effect_with_strategy_whitelist() -> None:
    with pytest.raises(Refused, match="exclude every repository: reconcile stop"):
        impose(replace(standing(), strategy=Strategy.WHITELIST), override(1, 0))


def test_a_rollback_keeps_a_narrower_live_state() -> None:
    act = impose(standing(live=exposure(3)), override(1, 10))

    assert act is not None
    assert act.after == exposure(3)


def test_a_resume_turns_off_the_override_and_those_it_superseded() -> None:
    first = StoredOverride(override(1, 25), OverrideState.DONE, superseded_by=UUID(int=2))
    second = StoredOverride(override(2, 10), OverrideState.DONE, superseded_by=UUID(int=3))
    settled = StoredOverride(override(4, 10), OverrideState.DONE)
    stopped = standing(
        first, second, on(override(3, None)), settled, live=exposure(0, stopped=True)
    )

    act = lift(stopped)

    assert act is not None
    assert act.after == exposure(50)
    assert {row.id.int: row.state for row in act.written} == dict.fromkeys(
        (1, 2, 3), OverrideState.OFF
    )


@pytest.mark.parametrize(
    "live", [exposure(0, stopped=True), exposure(20), exposure(50, active=False)]
)
def test_a_resume_lifts_limits_set_by_sql(live: Exposure) -> None:
    act = lift(standing(live=live))

    assert act is not None
    assert (act.after, act.written) == (exposure(50), ())


@pytest.mark.parametrize("live", [exposure(50), exposure(60)])
def test_a_resume_without_a_limit_does_nothing(live: Exposure) -> None:
    assert lift(standing(live=live)) is None


def test_a_failing_feature_is_rolled_back() -> None:
    assert limit_for(standing(), SETTINGS, health(100, 6)) == Limit(Decimal(5))


def test_exactly_the_limit_is_not_rolled_back() -> None:
    assert limit_for(standing(), SETTINGS, health(100, 5)) is None


@given(jobs=st.integers(0, 9), share=st.floats(0, 1))
def test_an_inconclusive_feature_is_never_rolled_back(jobs: int, share: float) -> None:
    assert limit_for(standing(), SETTINGS, health(jobs, round(jobs * share))) is None


@pytest.mark.parametrize(
    ("found", "settings"),
    [
        pytest.param(standing(), replace(SETTINGS, auto_rollback=False), id="people said no"),
        pytest.param(standing(live=exposure(0, stopped=True)), SETTINGS, id="stopped by SQL"),
        pytest.param(standing(live=exposure(50, active=False)), SETTINGS, id="inactive"),
        pytest.param(standing(on(override(1, 10))), SETTINGS, id="no job since people's limit"),
        pytest.param(
            standing(on(override(1, None, by=AUTO_ROLLBACK))), SETTINGS, id="stopped already"
        ),
    ],
)
def test_the_safeguard_does_not_act(found: Standing, settings: RollbackSettings) -> None:
    assert limit_for(found, settings, health(100, 100)) is None


@pytest.mark.parametrize(
    ("found", "settings"),
    [
        pytest.param(
            replace(standing(), strategy=Strategy.WHITELIST), SETTINGS, id="strategy whitelist"
        ),
        pytest.param(
            standing(),
            replace(SETTINGS, rollback_to=Decimal(50)),
            id="at what a rollback leaves already",
        ),
    ],
)
def test_the_safeguard_stops_if_a_percentage_cannot_help(
    found: Standing, settings: RollbackSettings
) -> None:
    assert limit_for(found, settings, health(100, 100)) == STOP


def test_jobs_that_fail_after_an_automatic_rollback_stop_the_feature() -> None:
    rolled_back = standing(on(override(1, 5, by=AUTO_ROLLBACK)), live=exposure(5))

    before = limit_for(rolled_back, SETTINGS, health(100, 100))
    few = limit_for(rolled_back, SETTINGS, health(9, 9, limited_at=ROLLED_BACK_AT))
    again = limit_for(rolled_back, SETTINGS, health(10, 1, limited_at=ROLLED_BACK_AT))

    assert (before, few, again) == (None, None, STOP)


FAILING = health(100, 100)
SINCE = health(20, 20, limited_at=MOMENT)
PASSING_SINCE = health(20, 0, limited_at=MOMENT)
NONE_SINCE = health(0, 0, limited_at=MOMENT)


@pytest.mark.parametrize("by", ["Ada", "database", AUTO_ROLLBACK])
def test_jobs_that_pass_under_a_limit_leave_it_alone(by: str) -> None:
    limited = standing(on(override(1, 25, by=by)), live=exposure(25))

    assert limit_for(limited, SETTINGS, PASSING_SINCE, PASSING_SINCE) is None


def test_jobs_that_fail_under_a_limit_of_people_roll_back_further() -> None:
    limited = standing(on(override(1, 25, by="Ada")), live=exposure(25))

    assert limit_for(limited, SETTINGS, FAILING, NONE_SINCE) is None
    assert limit_for(limited, SETTINGS, FAILING, SINCE) == Limit(Decimal(5))


@pytest.mark.parametrize("limit", [5, 3])
def test_jobs_that_fail_under_a_limit_as_low_stop_the_feature(limit: int) -> None:
    limited = standing(on(override(1, limit, by="Ada")), live=exposure(limit))

    assert limit_for(limited, SETTINGS, FAILING, SINCE) == STOP


def test_a_nudge_by_sql_keeps_the_safeguard() -> None:
    nudged = standing(on(override(1, 49, by="database")), live=exposure(49))

    assert limit_for(nudged, SETTINGS, FAILING, NONE_SINCE) == Limit(Decimal(5))


def test_a_rollback_by_sql_is_not_stopped_for_failures_from_before_it() -> None:
    by_hand = standing(on(override(1, 3, by="database")), live=exposure(3))

    assert limit_for(by_hand, SETTINGS, FAILING, NONE_SINCE) is None
    assert limit_for(by_hand, SETTINGS, FAILING, SINCE) == STOP


WIDENED = standing(on(override(1, None)), live=exposure(50))
RAISED = standing(on(override(1, 10)), live=exposure(80))


@pytest.mark.parametrize(
    ("widened", "after"),
    [
        pytest.param(WIDENED, exposure(0, stopped=True), id="a stop lifted"),
        pytest.param(RAISED, exposure(10), id="a limit raised"),
        pytest.param(
            standing(on(override(1, 60)), live=exposure(80)),
            exposure(50),
            id="a limit over the file's",
        ),
        pytest.param(
            standing(on(override(1, None)), live=exposure(0)),
            exposure(0, stopped=True),
            id="a stop lifted, the percentage left",
        ),
        pytest.param(
            standing(on(override(1, 10)), live=exposure(80, active=False)),
            exposure(10, active=False),
            id="a limit raised, and inactive",
        ),
    ],
)
def test_a_limit_in_force_that_live_exceeds_is_put_back(widened: Standing, after: Exposure) -> None:
    act = restore(widened)

    assert act is not None
    assert (act.before, act.after, act.written) == (widened.live, after, ())


@pytest.mark.parametrize(
    "heeded",
    [
        pytest.param(standing(live=exposure(80)), id="no override"),
        pytest.param(standing(on(override(1, 10)), live=exposure(10)), id="as the limit"),
        pytest.param(standing(on(override(1, 10)), live=exposure(3)), id="narrower"),
        pytest.param(
            standing(on(override(1, None)), live=exposure(50, stopped=True)), id="stopped by SQL"
        ),
        pytest.param(
            standing(on(override(1, 10)), live=exposure(50, stopped=True)), id="stopped, at another"
        ),
    ],
)
def test_a_limit_that_live_heeds_is_not_put_back(heeded: Standing) -> None:
    assert restore(heeded) is None


@pytest.mark.parametrize("limit", [None, 10, 25])
def test_the_same_or_a_wider_act_puts_an_exceeded_limit_back(limit: int | None) -> None:
    found = WIDENED if limit is None else RAISED

    act = impose(found, override(2, limit))

    assert act is not None
    assert (act.after, act.written) == (
        exposure(0, stopped=True) if limit is None else exposure(10),
        (),
    )


def test_a_narrower_act_beside_a_widening_by_sql_limits_live() -> None:
    act = impose(RAISED, override(2, 5))

    assert act is not None
    assert act.after == exposure(5)
    assert [row.state for row in act.written] == [OverrideState.DONE, OverrideState.ON]


@pytest.mark.parametrize("percentage", [25, 50])
def test_a_rollback_to_the_file_takes_a_widening_by_sql_back(percentage: int) -> None:
    file_at_25 = Standing(exposure(80), exposure(25), Strategy.PERCENTAGE)

    act = impose(file_at_25, override(1, percentage))

    assert act is not None
    assert act.after == exposure(percentage)


def test_a_resume_beside_a_widening_by_sql_is_the_file() -> None:
    act = lift(standing(on(override(1, 10)), live=exposure(80)))

    assert act is not None
    assert act.after == exposure(50)
