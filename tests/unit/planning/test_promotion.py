"""Promotion: the next stage of a feature, and the missing conditions."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import pytest

from reconciler.planning.feature_config import Configuration
from reconciler.planning.health import Health as JudgedHealth
from reconciler.planning.health import (
    HealthLimits,
    JobMetrics,
    Judgement,
    Period,
    Tally,
    Verdict,
)
from reconciler.planning.overrides import OverrideState, StoredOverride
from reconciler.planning.plan import Plan
from reconciler.planning.planner import make_plan
from reconciler.planning.promotion import Missing, missing_for, next_step, why_no_step
from reconciler.planning.stages import Soaking
from reconciler.rollout_file.model import Feature, Rollout
from tests.builders import MOMENT, override
from tests.unit.planning.situations import FEATURE, configuration, feature, inputs_of

STAGES: Final = [
    {"percentage": 10, "soak": "1d"},
    {"percentage": 30, "soak": "2d"},
    {"percentage": 50, "soak": "1d"},
]
LIMITS: Final = HealthLimits(max_error_rate=Decimal(5), min_jobs=10)


def staged(percentage: int, **fields: object) -> Feature:
    return feature(percentage=percentage, progression=STAGES, **fields)


def soaking(*, since: datetime, verdict: Verdict = Verdict.PASS) -> Soaking:
    errors = 0 if verdict is Verdict.PASS else 90
    health = JudgedHealth(
        Judgement(verdict),
        JobMetrics(total=Tally(100, errors), newest_age=timedelta(0)),
        LIMITS,
        Period(MOMENT, timedelta(days=1)),
    )
    return Soaking(now=MOMENT, reached_at=since, health=health)


def missing(
    declared: Feature,
    *,
    applied: Feature | None = None,
    live: Configuration | None = None,
    overrides: tuple[StoredOverride, ...] = (),
    soaked: Soaking | None = None,
) -> tuple[Missing, ...]:
    """Return the missing conditions of a feature; by default its file is applied and has soaked."""
    step = next_step(declared)
    assert step is not None
    inputs = replace(
        inputs_of(applied or declared, live=live, overrides=overrides),
        soaking={FEATURE: soaked or soaking(since=MOMENT - timedelta(days=7))},
    )

    def plan_of(one: Feature) -> Plan:
        return make_plan(Rollout(version=1, features={FEATURE: one}), inputs)

    (current,) = plan_of(declared).features
    promoted = declared.model_copy(update={"percentage": step.stage.percentage})
    return missing_for(declared, current, plan_of(promoted))


@pytest.mark.parametrize(
    ("percentage", "expected"),
    [(0, (10, 1)), (9, (10, 1)), (10, (30, 2)), (29, (30, 2)), (30, (50, 3))],
)
def test_the_next_stage_is_the_lowest_above_the_percentage(
    percentage: int, expected: tuple[int, int]
) -> None:
    step = next_step(staged(percentage))

    assert step is not None
    assert (int(step.stage.percentage), step.number) == expected
    assert (int(step.before), step.stages) == (percentage, 3)


def test_there_is_no_next_stage_from_the_last_on() -> None:
    assert next_step(staged(50)) is None
    assert why_no_step(staged(50)) == "the last stage is reached: 50 of 50"
    assert next_step(feature(percentage=10)) is None
    assert why_no_step(feature(percentage=10)) == (
        "there is no progression in the file, so there is no next stage"
    )


def test_a_stage_that_soaked_in_good_health_is_promoted() -> None:
    assert missing(staged(10)) == ()


def test_a_rise_up_to_the_first_stage_is_free() -> None:
    failing = soaking(since=MOMENT, verdict=Verdict.FAIL)

    assert missing(staged(0), soaked=failing) == ()


def test_a_stage_that_still_soaks_names_the_time_of_its_end() -> None:
    since = MOMENT - timedelta(hours=1, microseconds=-1)

    (found,) = missing(staged(10), soaked=soaking(since=since))

    # Rounded to a whole second, so that the soak is certainly complete.
    assert found.holds_at == MOMENT + timedelta(hours=23, seconds=1)
    assert "2026-11-24T11:00:01Z" in found.message


def test_a_failing_verdict_is_missing_beside_the_soak() -> None:
    found = missing(staged(10), soaked=soaking(since=MOMENT, verdict=Verdict.FAIL))

    assert [each.holds_at is None for each in found] == [False, True]
    assert found[1].message.startswith("percentage 10 → 30: the verdict is fail")


def test_a_file_that_is_not_applied_comes_first_and_alone() -> None:
    found = missing(staged(10), applied=staged(0), soaked=soaking(since=MOMENT))

    assert found == (Missing("the present file is not applied yet: apply it first"),)


def test_an_inactive_feature_is_reported() -> None:
    inactive = staged(10, active=False)

    assert missing(inactive)[0] == Missing(
        "the feature is not active: set active: true and apply it"
    )


@pytest.mark.parametrize(
    ("limit", "words"),
    [(None, "an override stops it since"), (5, "an override limits it to 5 since")],
    ids=["a stop", "a limit"],
)
def test_an_override_in_force_keeps_the_stage(limit: int | None, words: str) -> None:
    block = override(1, limit)
    declared = staged(10).model_copy(update={"override": block})
    live = configuration(staged(10), percentage=Decimal(limit or 0), emergency_stop=limit is None)
    rows = (StoredOverride(block, OverrideState.ON),)

    found = missing(declared, live=live, overrides=rows)

    assert found[0].message.startswith(words)


def test_a_guard_that_would_refuse_the_apply_is_missing() -> None:
    declared = staged(30, guards={"max_increase": 10})

    (found,) = missing(declared)

    assert found.message.startswith("the guard max-increase refuses: percentage 30 → 50")
