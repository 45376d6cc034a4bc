"""The guard `soak`: a percentage increases by one stage, after the stage's soak in good health."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.planning.guard_names import GuardName
from reconciler.planning.guards import Finding
from reconciler.planning.health import Health, HealthLimits, JobMetrics, Period, Tally, judge
from reconciler.planning.live_state import Live, LiveFeature
from reconciler.planning.overrides import OverrideState, StoredOverride
from reconciler.planning.plan_inputs import AppliedFeature, LastApplied, PlanInputs
from reconciler.planning.planner import make_plan, stages_to_judge
from reconciler.planning.stages import (
    HealthNotPassing,
    Soaking,
    StageLimited,
    StageNotSoaked,
    StageSkipped,
    current_stage,
    guard_soak,
    next_stage,
)
from reconciler.rollout_file.model import Rollout, Stage
from rollout_client.targeting.categories import DEFAULT_THRESHOLDS
from tests.builders import override
from tests.unit.planning.situations import (
    FEATURE,
    NOBODY_KNOWN,
    configuration,
    feature,
    plan_feature,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
STAGES = (
    Stage(percentage=Decimal(10), soak=DAY),
    Stage(percentage=Decimal(25), soak=3 * DAY),
    Stage(percentage=Decimal(50), soak=7 * DAY),
)


def soaking(held: timedelta = 30 * DAY, *, jobs: int = 200, errors: int = 0) -> Soaking:
    limits = HealthLimits(Decimal(5), 10)
    metrics = JobMetrics(Tally(jobs, errors), timedelta(0) if jobs else None)
    judgement = judge(metrics, eligible=1, limits=limits)
    return Soaking(NOW, NOW - held, Health(judgement, metrics, limits, Period(NOW, DAY)))


def refuse(
    before: float | None,
    after: float,
    how: Soaking | None = None,
    *,
    is_limited: bool = False,
    stages: tuple[Stage, ...] = STAGES,
) -> list[Finding]:
    meant = None if before is None else Decimal(str(before))
    return list(
        guard_soak(meant, Decimal(str(after)), stages, how or soaking(), is_limited=is_limited)
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, 0), (None, 5), (None, 10), (0, 10), (5, 10), (10, 25), (10, 20), (20, 25), (50, 100)],
)
def test_the_next_stage_is_allowed_after_the_soak(before: float | None, after: float) -> None:
    assert refuse(before, after) == []


@pytest.mark.parametrize(
    ("before", "after", "following"),
    [(None, 11, 10), (None, 100, 10), (0, 25, 10), (10, 50, 25), (12, 26, 25), (25, 100, 50)],
)
def test_a_stage_cannot_be_skipped(before: float | None, after: float, following: int) -> None:
    (finding,) = refuse(before, after)

    assert finding == StageSkipped(Decimal(before or 0), Decimal(after), Decimal(following))


def test_a_stage_must_soak() -> None:
    (finding,) = refuse(10, 25, soaking(held=DAY - timedelta(microseconds=1)))

    assert isinstance(finding, StageNotSoaked)
    assert refuse(10, 25, soaking(held=DAY)) == []
    assert refuse(25, 50, soaking(held=DAY)) != []


@pytest.mark.parametrize(("jobs", "errors"), [(200, 11), (9, 0), (0, 0)])
def test_an_increase_needs_a_pass(jobs: int, errors: int) -> None:
    (finding,) = refuse(10, 25, soaking(jobs=jobs, errors=errors))

    assert isinstance(finding, HealthNotPassing)


def test_a_stage_does_not_soak_under_an_override() -> None:
    (finding,) = refuse(10, 25, is_limited=True)

    assert finding == StageLimited(Decimal(10), Decimal(25), STAGES[0])


def test_the_first_stage_needs_no_jobs() -> None:
    assert refuse(0, 10, soaking(held=timedelta(0), jobs=0), is_limited=True) == []


def test_everything_missing_is_reported_with_the_earliest_time() -> None:
    held = timedelta(hours=5, microseconds=1)
    findings = refuse(10, 50, soaking(held=held, jobs=200, errors=25))

    assert {finding.guard for finding in findings} == {GuardName.SOAK}
    assert [finding.message for finding in findings] == [
        "percentage 10 → 50 skips stage 25, which comes first",
        "percentage 10 → 50: stage 10 reached 2026-11-23T07:00:00Z; "
        "soaks until 2026-11-24T07:00:00Z (1d)",
        "percentage 10 → 50: the verdict is fail, "
        "error rate 12.50% over 5% (25 of 200 jobs in 24h)",
    ]
    (limited,) = refuse(10, 12.5, is_limited=True)
    assert limited.message == (
        "percentage 10 → 12.5: an override limits stage 10; after the resume it soaks for 1d"
    )


percentages = st.decimals(0, 100, places=2)


@given(before=percentages, after=percentages, is_limited=st.booleans(), jobs=st.integers(0, 20))
def test_narrowing_is_never_refused(
    before: Decimal, after: Decimal, is_limited: bool, jobs: int
) -> None:
    low, high = sorted((before, after))
    how = soaking(held=timedelta(0), jobs=jobs, errors=jobs)

    assert list(guard_soak(high, low, STAGES, how, is_limited=is_limited)) == []
    assert list(guard_soak(low, high, (), how, is_limited=is_limited)) == []


@given(before=percentages, after=percentages)
def test_an_increase_is_allowed_only_up_to_the_next_stage(before: Decimal, after: Decimal) -> None:
    free = not list(guard_soak(before, after, STAGES, soaking(), is_limited=False))

    passed = [each for each in STAGES if before < each.percentage < after]
    assert free == (not passed)


def test_the_stages_around_a_percentage() -> None:
    def around(percentage: int) -> tuple[Decimal | None, Decimal | None]:
        current = current_stage(STAGES, Decimal(percentage))
        following = next_stage(STAGES, Decimal(percentage))
        return (
            None if current is None else current.percentage,
            None if following is None else following.percentage,
        )

    assert [around(each) for each in (0, 9, 10, 24, 25, 50, 100)] == [
        (None, 10),
        (None, 10),
        (10, 25),
        (10, 25),
        (25, 50),
        (50, None),
        (50, None),
    ]


def test_a_new_feature_starts_at_its_first_stage() -> None:
    stages = [{"percentage": 10, "soak": "1d"}, {"percentage": 25, "soak": "1d"}]

    assert plan_feature(feature(percentage=10, progression=stages)).findings == ()
    (finding,) = plan_feature(feature(percentage=25, progression=stages)).findings
    assert finding == StageSkipped(Decimal(0), Decimal(25), Decimal(10))


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_limited_feature_increases_from_its_desired_percentage(
    is_removed: bool,
) -> None:
    block = override(1, percentage=0)
    before = feature(percentage=10, progression=STAGES, override=block)
    after = feature(percentage=25, progression=STAGES, override=None if is_removed else block)
    stored = StoredOverride(block, OverrideState.ON)
    live = LiveFeature(UUID(int=99), configuration(before, percentage=Decimal(0)), NOW, (stored,))
    inputs = PlanInputs(
        live=Live(7, None, {FEATURE: live}, frozenset(), DEFAULT_THRESHOLDS, NOBODY_KNOWN),
        applied=LastApplied({FEATURE: AppliedFeature(configuration(before), block.id)}),
        soaking={FEATURE: soaking()},
    )
    rollout = Rollout(version=1, features={FEATURE: after})

    assert list(stages_to_judge(rollout, inputs)) == [(FEATURE, STAGES[0])]
    (plan,) = make_plan(rollout, inputs).features
    assert plan.findings == (StageLimited(Decimal(10), Decimal(25), STAGES[0]),)


def test_health_is_read_only_for_an_increase_over_a_stage() -> None:
    def asked(before: int, after: int, stages: tuple[Stage, ...] = STAGES) -> list[str]:
        live = LiveFeature(UUID(int=99), configuration(percentage=Decimal(before)), NOW)
        inputs = PlanInputs(
            Live(7, None, {FEATURE: live}, frozenset(), DEFAULT_THRESHOLDS, NOBODY_KNOWN)
        )
        desired = {FEATURE: feature(percentage=after, progression=stages), "another": feature()}
        rollout = Rollout(version=1, features=desired)
        return [name for name, _ in stages_to_judge(rollout, inputs)]

    assert asked(10, 10) == asked(25, 10) == asked(0, 10) == asked(10, 25, ()) == []
    assert asked(10, 11) == [FEATURE]
