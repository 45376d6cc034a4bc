"""Acting at once: what an override imposed or lifted leaves, and when the safeguard imposes one."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Refused
from reconciler.planning.drift import Limit
from reconciler.planning.feature_config import Exposure
from reconciler.planning.health import Health, HealthLimits, JobMetrics, Period, Tally, judge
from reconciler.planning.override_actions import (
    AUTO_ROLLBACK,
    RollbackSettings,
    Standing,
    automatic_limit,
    impose,
    lift,
)
from reconciler.planning.overrides import OverrideState, StoredOverride
from reconciler.rollout_file.model import Override
from reconciler.targeting.strategy import Strategy
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
    """A feature that people meant to be at 50 percent."""
    return Standing(live or exposure(50), exposure(50), Strategy.PERCENTAGE, overrides)


def health(jobs: int, errors: int, *, limited_at: datetime | None = None) -> Health:
    metrics = JobMetrics(Tally(jobs, errors), newest_age=timedelta(0) if jobs else None)
    limits = HealthLimits(max_error_rate=Decimal(5), min_jobs=10)
    period = Period(NOW, timedelta(days=1), limited_at=limited_at)
    return Health(judge(metrics, eligible=1, limits=limits), metrics, limits, period)


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
    with pytest.raises(Refused, match="is no rollback"):
        impose(standing(), override(1, percentage))


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
    assert automatic_limit(standing(), SETTINGS, health(100, 6)) == Limit(Decimal(5))


def test_exactly_the_limit_is_not_rolled_back() -> None:
    assert automatic_limit(standing(), SETTINGS, health(100, 5)) is None


@given(jobs=st.integers(0, 9), share=st.floats(0, 1))
def test_an_inconclusive_feature_is_never_rolled_back(jobs: int, share: float) -> None:
    assert automatic_limit(standing(), SETTINGS, health(jobs, round(jobs * share))) is None


@pytest.mark.parametrize(
    ("found", "settings"),
    [
        pytest.param(standing(), replace(SETTINGS, auto_rollback=False), id="people said no"),
        pytest.param(standing(live=exposure(0, stopped=True)), SETTINGS, id="stopped by SQL"),
        pytest.param(standing(live=exposure(50, active=False)), SETTINGS, id="inactive"),
        pytest.param(standing(on(override(1, 10))), SETTINGS, id="under a limit of people's"),
        pytest.param(
            standing(on(override(1, None, by=AUTO_ROLLBACK))), SETTINGS, id="stopped already"
        ),
    ],
)
def test_the_safeguard_does_not_act(found: Standing, settings: RollbackSettings) -> None:
    assert automatic_limit(found, settings, health(100, 100)) is None


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
    assert automatic_limit(found, settings, health(100, 100)) == STOP


def test_jobs_that_fail_after_an_automatic_rollback_stop_the_feature() -> None:
    rolled_back = standing(on(override(1, 5, by=AUTO_ROLLBACK)), live=exposure(5))

    before = automatic_limit(rolled_back, SETTINGS, health(100, 100))
    few = automatic_limit(rolled_back, SETTINGS, health(9, 9, limited_at=ROLLED_BACK_AT))
    again = automatic_limit(rolled_back, SETTINGS, health(10, 1, limited_at=ROLLED_BACK_AT))

    assert (before, few, again) == (None, None, STOP)
