"""Guards: their refusals, and how a name and a feature allow them."""

from dataclasses import replace
from decimal import Decimal

import pytest

from reconciler.planning.blast_radius import BlastRadius
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.guards import CHECKED_FIELDS, AudienceMoved, guard_audience, read_allowed
from reconciler.planning.plan import CategoriesPlan, FeaturePlan, MarksPlan, Plan
from reconciler.planning.planner import with_blast_radius
from reconciler.rollout_file.model import Feature, Guards
from rollout_client.targeting.categories import DEFAULT_THRESHOLDS
from tests.unit.planning.situations import configuration, feature, plan_feature


def moved(gained: int, lost: int, *, repositories: int = 1_000) -> BlastRadius:
    return BlastRadius(
        repositories=repositories,
        before=100,
        after=100 + gained - lost,
        gained=gained,
        lost=lost,
        by_category={},
        by_owner={},
        sample_gained=(),
        sample_lost=(),
    )


TEN = feature(percentage=10)
ANOTHER_SALT = feature(percentage=10, salt="pepper")


@pytest.mark.parametrize(
    "desired",
    [
        pytest.param(ANOTHER_SALT, id="another salt"),
        pytest.param(feature(percentage=10, strategy="repository_size"), id="another strategy"),
    ],
)
def test_another_audience_at_the_same_percentage_is_refused(desired: Feature) -> None:
    plan = with_blast_radius(plan_feature(desired, applied=TEN), moved(90, 90), Guards())

    (finding,) = plan.findings
    assert finding == AudienceMoved(gained=90, lost=90, repositories=1_000)
    assert finding.message == (
        "90 of 1,000 repositories would gain and 90 would lose, not because of the percentage; "
        "at most 1 % or 10 may move like this"
    )


def test_moved_thresholds_are_refused_for_an_unchanged_feature() -> None:
    unchanged = plan_feature(TEN, applied=TEN)

    assert with_blast_radius(unchanged, moved(90, 0), Guards()).findings == ()
    assert with_blast_radius(unchanged, moved(90, 0), Guards(), recategorises=True).findings


@pytest.mark.parametrize(
    ("gained", "lost", "repositories"),
    [
        pytest.param(5, 5, 100, id="ten repositories"),
        pytest.param(50, 50, 10_000, id="one percent of all"),
        pytest.param(0, 90, 1_000, id="only narrower"),
    ],
)
def test_a_small_or_a_narrower_move_is_not_refused(
    gained: int, lost: int, repositories: int
) -> None:
    radius = moved(gained, lost, repositories=repositories)

    assert (
        with_blast_radius(plan_feature(ANOTHER_SALT, applied=TEN), radius, Guards()).findings == ()
    )


@pytest.mark.parametrize(
    ("percentage", "gained", "lost", "is_refused"),
    [
        pytest.param(20, 100, 0, False, id="rises, none lose"),
        pytest.param(20, 100, 11, True, id="rises, some lose"),
        pytest.param(5, 0, 50, False, id="falls, none gain"),
        pytest.param(5, 11, 61, True, id="falls, some gain"),
    ],
)
def test_a_percentage_that_changes_too_does_not_hide_a_move(
    percentage: int, gained: int, lost: int, is_refused: bool
) -> None:
    before = configuration(TEN)
    after = replace(before, percentage=Decimal(percentage), salt="pepper")

    findings = guard_audience(before, after, gained=gained, lost=lost, repositories=1_000)

    assert bool(list(findings)) == is_refused


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(plan_feature(ANOTHER_SALT), id="a new feature"),
        pytest.param(
            plan_feature(ANOTHER_SALT, applied=feature(percentage=10, active=False)),
            id="an inactive feature",
        ),
        pytest.param(plan_feature(feature(percentage=60), applied=TEN), id="a percentage alone"),
    ],
)
def test_a_feature_without_an_audience_to_move_is_not_refused(plan: FeaturePlan) -> None:
    findings = with_blast_radius(plan, moved(90, 90), Guards()).findings

    assert not [each for each in findings if each.guard is GuardName.AUDIENCE_MOVED]


@pytest.mark.parametrize(
    ("value", "allowed", "unknown"),
    [
        ("max-increase", [Allowed(GuardName.MAX_INCREASE)], []),
        ("Max-Increase search", [Allowed(GuardName.MAX_INCREASE, "search")], []),
        (
            "soak, max-gain search",
            [Allowed(GuardName.SOAK), Allowed(GuardName.MAX_GAIN, "search")],
            [],
        ),
        ("soak # agreed with Ada, on Monday", [Allowed(GuardName.SOAK)], []),
        ("soak (agreed, by Ada)", [Allowed(GuardName.SOAK)], []),
        ('`max-increase` "search"', [Allowed(GuardName.MAX_INCREASE, "search")], []),
        ("max-increse", [], ["max-increse"]),
        ("soak search export, max-gain", [Allowed(GuardName.MAX_GAIN)], ["soak search export"]),
        ("", [], []),
    ],
)
def test_a_trailer_names_guards_and_features(
    value: str, allowed: list[Allowed], unknown: list[str]
) -> None:
    assert read_allowed(value) == (tuple(allowed), tuple(unknown))


def test_a_guard_that_is_allowed_for_a_feature_refuses_another() -> None:
    plan = Plan(
        generation=7,
        applied_commit=None,
        features=tuple(
            replace(plan_feature(feature(percentage=90)), name=name)
            for name in ("search", "export")
        ),
        test_repositories=MarksPlan(frozenset(), {}, {}, ()),
        categories=CategoriesPlan(DEFAULT_THRESHOLDS, DEFAULT_THRESHOLDS),
        names={},
    ).allowing(frozenset({Allowed(GuardName.MAX_INCREASE, "search")}))

    assert [name for name, _ in plan.refusing] == ["export"]
    assert plan.allowed_for("search").keys() == {GuardName.MAX_INCREASE}


def test_each_guard_names_the_fields_that_a_commit_can_allow() -> None:
    assert CHECKED_FIELDS.keys() == set(GuardName)
