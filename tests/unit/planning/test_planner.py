"""The plan of a file and a live state: changes, names, new and removed features, guards."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from reconciler.planning.blast_radius import BlastRadius
from reconciler.planning.changes import ListChange, ScalarChange
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.guards import TooMuchIncrease, TooMuchRemoval
from reconciler.planning.live_state import Directory, Live
from reconciler.planning.plan import CategoriesPlan, FeatureAction, FeaturePlan, MarksPlan, Plan
from reconciler.planning.plan_inputs import PlanInputs
from reconciler.planning.planner import make_plan, with_blast_radius
from reconciler.rollout_file.model import Feature, Guards, Rollout
from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.categories import DEFAULT_THRESHOLDS
from rollout_client.targeting.strategy import Strategy
from tests.unit.planning.situations import NOBODY_KNOWN, configuration, feature, plan_feature

FIRST, SECOND = str(UUID(int=1)), str(UUID(int=2))


def guards(plan: FeaturePlan) -> list[GuardName]:
    return [finding.guard for finding in plan.findings]


def test_a_new_feature_is_created() -> None:
    plan = plan_feature(feature(percentage=10))

    assert (plan.action, plan.before, plan.change_count) == (FeatureAction.CREATE, None, 1)
    assert plan.after == configuration(percentage=Decimal(10))


def test_a_feature_equal_to_the_file_has_no_changes() -> None:
    plan = plan_feature(feature(percentage=10), applied=feature(percentage=10))

    assert (plan.action, plan.changes, plan.change_count) == (FeatureAction.NONE, (), 0)


def test_each_value_that_differs_is_a_change() -> None:
    plan = plan_feature(feature(percentage=20, description="why"), applied=feature(percentage=10))

    changes = [each for each in plan.changes if isinstance(each, ScalarChange)]
    assert plan.action is FeatureAction.UPDATE
    assert [(each.field.name, each.before, each.after) for each in changes] == [
        ("percentage", 10, 20),
        ("description", None, "why"),
    ]


def test_a_feature_removed_from_the_file_is_deactivated_if_allowed() -> None:
    plan = plan_feature(None, applied=feature(percentage=10))

    assert plan.action is FeatureAction.DEACTIVATE
    assert not plan.after.active
    assert plan.after.percentage == 10
    assert guards(plan) == [GuardName.FEATURE_REMOVED]


def test_a_feature_removed_earlier_does_not_change() -> None:
    gone = configuration(percentage=Decimal(10), active=False)

    plan = plan_feature(None, applied=gone)

    assert (plan.action, plan.findings) == (FeatureAction.NONE, ())


def test_a_feature_added_again_is_active_and_counts_from_zero() -> None:
    gone = configuration(percentage=Decimal(50), active=False)

    plan = plan_feature(feature(percentage=50), applied=gone)

    assert plan.action is FeatureAction.UPDATE
    assert plan.after.active
    assert plan.findings == (TooMuchIncrease(Decimal(0), Decimal(50), Decimal(25)),)


def test_a_name_that_is_known_now_is_a_change_of_its_own() -> None:
    directory = Directory(ids={"acme/a": FIRST}, names={FIRST: "Acme/A"}, owned={})
    before = configuration(whitelist=frozenset({"acme/a", "acme/b"}))

    plan = plan_feature(
        feature(whitelist=["acme/a", "acme/b"]), applied=before, directory=directory
    )

    (change,) = plan.changes
    assert isinstance(change, ListChange)
    assert (change.added, change.removed, change.resolved) == ({}, {}, {FIRST: "Acme/A"})
    assert plan.unresolved == ("acme/b",)


def test_a_renamed_repository_keeps_its_entry_with_a_warning() -> None:
    directory = Directory(
        ids={}, names={FIRST: "acme/new"}, owned={}, remembered={"acme/old": FIRST}
    )
    before = configuration(whitelist=frozenset({FIRST}))

    plan = plan_feature(feature(whitelist=["acme/old"]), applied=before, directory=directory)

    assert (plan.changes, plan.unresolved) == ((), ())
    (warning,) = plan.warnings
    assert warning.startswith("acme/old is called acme/new now")


def test_a_name_that_now_means_another_repository_is_refused() -> None:
    directory = Directory(
        ids={"acme/a": SECOND},
        names={SECOND: "acme/a"},
        owned={},
        remembered={"acme/a": FIRST},
    )
    before = configuration(whitelist=frozenset({FIRST}))

    plan = plan_feature(feature(whitelist=["acme/a"]), applied=before, directory=directory)

    (finding,) = [each for each in plan.findings if each.guard is GuardName.NAME_REUSED]
    assert FIRST in finding.message
    assert SECOND in finding.message


def test_an_excluded_name_that_is_used_again_excludes_both_repositories() -> None:
    """It only narrows, so no guard refuses it at this apply or the next."""
    before = configuration(exclusions=frozenset({FIRST}))
    reused = Directory(
        ids={"acme/a": SECOND}, names={SECOND: "acme/a"}, owned={}, remembered={"acme/a": FIRST}
    )

    plan = plan_feature(feature(exclusions=["acme/a"]), applied=before, directory=reused)

    assert plan.after.exclusions == {FIRST, SECOND}
    assert [each.guard for each in plan.findings] == []


@pytest.mark.parametrize(
    ("strategy", "found"), [("repository_size", [GuardName.NAME_REUSED]), ("percentage", [])]
)
def test_a_test_name_that_is_used_again_is_refused_where_marks_count(
    strategy: str, found: list[GuardName]
) -> None:
    reused = Directory(
        ids={"acme/a": SECOND}, names={SECOND: "acme/a"}, owned={}, remembered={"acme/a": FIRST}
    )
    rollout = Rollout.model_validate(
        {"version": 1, "features": {"f": {"strategy": strategy}}, "test_repositories": ["acme/a"]}
    )

    live = Live(
        generation=7,
        applied_commit=None,
        features={},
        marked=frozenset({FIRST}),
        thresholds=DEFAULT_THRESHOLDS,
        directory=reused,
    )

    plan = make_plan(rollout, PlanInputs(live=live))

    assert [each.guard for each in plan.features[0].findings] == found


@pytest.mark.parametrize(
    ("applied", "desired", "base"),
    [
        pytest.param(feature(percentage=10), feature(percentage=35), None, id="at the limit"),
        pytest.param(
            feature(percentage=10), feature(percentage=Decimal("35.01")), 10, id="just over"
        ),
        pytest.param(None, feature(percentage=25), None, id="new, at the limit"),
        pytest.param(None, feature(percentage=26), 0, id="new, over"),
        pytest.param(feature(percentage=90), feature(percentage=0), None, id="narrowing"),
        pytest.param(
            feature(percentage=30),
            feature(percentage=30, strategy=Strategy.REPOSITORY_SIZE),
            0,
            id="another strategy",
        ),
        pytest.param(
            feature(percentage=30, bucketing=Bucketing.HASHTEXT),
            feature(percentage=30),
            0,
            id="another bucketing",
        ),
        pytest.param(
            feature(percentage=30, bucketing=Bucketing.HASHTEXT),
            feature(percentage=25),
            None,
            id="another bucketing, at the limit",
        ),
        pytest.param(
            feature(percentage=30, strategy=Strategy.WHITELIST),
            feature(percentage=30),
            0,
            id="out of whitelist",
        ),
        pytest.param(
            feature(percentage=0),
            feature(percentage=100, strategy=Strategy.WHITELIST),
            None,
            id="into whitelist, where it means nothing",
        ),
        pytest.param(
            feature(percentage=0), feature(percentage=90, active=False), None, id="inactive"
        ),
    ],
)
def test_max_increase_counts_percentage_points(
    applied: Feature | None, desired: Feature, base: int | None
) -> None:
    plan = plan_feature(desired, applied=applied)

    expected = (
        () if base is None else (TooMuchIncrease(Decimal(base), desired.percentage, Decimal(25)),)
    )
    assert plan.findings == expected


def names(count: int) -> list[str]:
    return [f"acme/r{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("existing", "remaining", "is_refused"),
    [
        pytest.param(10, 7, False, id="at the limit"),
        pytest.param(10, 6, True, id="just over"),
        pytest.param(9, 1, False, id="too short to tell"),
    ],
)
@pytest.mark.parametrize("field", ["whitelist", "exclusions"])
def test_max_removal_counts_a_share_of_a_list(
    field: str, existing: int, remaining: int, is_refused: bool
) -> None:
    plan = plan_feature(
        feature(**{field: names(remaining)}), applied=feature(**{field: names(existing)})
    )

    finding = TooMuchRemoval(field, existing - remaining, existing, Decimal(30))
    assert plan.findings == ((finding,) if is_refused else ())


@pytest.mark.parametrize("field", ["whitelist", "exclusions"])
def test_a_name_that_is_known_now_is_not_removed(field: str) -> None:
    ids = {name: str(UUID(int=number)) for number, name in enumerate(names(12), start=1)}
    known_now = Directory(ids=ids, names={each: name for name, each in ids.items()}, owned={})
    before = configuration(None, **{field: frozenset(names(12))})

    all_stay = plan_feature(feature(**{field: names(12)}), applied=before, directory=known_now)
    four_go = plan_feature(feature(**{field: names(8)}), applied=before, directory=known_now)

    assert all_stay.findings == ()
    assert four_go.findings == (TooMuchRemoval(field, 4, 12, Decimal(30)),)


@pytest.mark.parametrize("field", ["whitelist", "exclusions"])
def test_a_list_emptied_is_refused_whatever_its_length(field: str) -> None:
    plan = plan_feature(feature(), applied=feature(**{field: names(1)}))

    assert guards(plan) == [GuardName.LIST_EMPTIED]


@pytest.mark.parametrize(
    ("most", "gained", "is_refused"), [(5, 5, False), (5, 6, True), (None, 1_000_000, False)]
)
def test_max_gain_counts_repositories(most: int | None, gained: int, is_refused: bool) -> None:
    radius = BlastRadius(
        repositories=10,
        before=0,
        after=gained,
        gained=gained,
        lost=0,
        by_category={},
        by_owner={},
        sample_gained=(),
        sample_lost=(),
    )

    plan = with_blast_radius(plan_feature(feature()), radius, Guards(max_gain=most))

    assert guards(plan) == ([GuardName.MAX_GAIN] if is_refused else [])


def test_max_increase_does_not_refuse_a_resume() -> None:
    stopped = configuration(percentage=Decimal(0))

    plan = plan_feature(feature(percentage=80), applied=feature(percentage=80), live=stopped)

    assert plan.findings == ()


def whole(*features: FeaturePlan) -> Plan:
    return Plan(
        generation=7,
        applied_commit=None,
        features=features,
        test_repositories=MarksPlan(frozenset(), {}, {}, ()),
        categories=CategoriesPlan(DEFAULT_THRESHOLDS, DEFAULT_THRESHOLDS),
        names={},
    )


@pytest.mark.parametrize(
    ("refused", "guard"),
    [
        (plan_feature(feature(percentage=90)), GuardName.MAX_INCREASE),
        (plan_feature(feature(), applied=feature(whitelist=names(1))), GuardName.LIST_EMPTIED),
        (
            plan_feature(feature(whitelist=names(2)), applied=feature(whitelist=names(20))),
            GuardName.MAX_REMOVAL,
        ),
        (plan_feature(None, applied=feature()), GuardName.FEATURE_REMOVED),
    ],
)
def test_a_guard_refuses_until_it_is_allowed_by_name(
    refused: FeaturePlan, guard: GuardName
) -> None:
    plan = whole(refused)

    assert plan.is_refused
    assert plan.allowing(frozenset(map(Allowed, set(GuardName) - {guard}))).is_refused
    assert not plan.allowing(frozenset({Allowed(guard)})).is_refused


def test_no_guard_allows_held_drift() -> None:
    live = configuration(whitelist=frozenset())
    meant = feature(whitelist=["acme/a"])
    plan = whole(plan_feature(meant, applied=meant, live=live))

    assert plan.held == ("capture",)
    assert plan.allowing(frozenset(map(Allowed, GuardName))).is_refused


def test_all_findings_are_reported_at_once() -> None:
    directory = replace(
        NOBODY_KNOWN, ids={"acme/n": SECOND}, names={SECOND: "acme/n"}, remembered={"acme/n": FIRST}
    )

    plan = plan_feature(
        feature(percentage=90, whitelist=["acme/n"]),
        applied=feature(exclusions=names(3)),
        directory=directory,
    )

    assert guards(plan) == [
        GuardName.MAX_INCREASE,
        GuardName.LIST_EMPTIED,
        GuardName.NAME_REUSED,
    ]
