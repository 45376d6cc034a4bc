"""A comparison of two files without a database: the changes and guards that need no database."""

from typing import Any

from reconciler.planning.changes import ListChange, ScalarChange
from reconciler.planning.file_comparison import plan_difference
from reconciler.planning.guard_names import GuardName
from reconciler.planning.plan import FeatureAction, FeaturePlan, Plan
from reconciler.rollout_file.model import Rollout
from tests.builders import override


def rollout(*, test_repositories: tuple[str, ...] = (), **features: dict[str, Any]) -> Rollout:
    return Rollout.model_validate(
        {"version": 1, "features": features, "test_repositories": list(test_repositories)}
    )


def only(plan: Plan) -> FeaturePlan:
    (found,) = plan.features
    return found


def test_equal_files_differ_in_nothing() -> None:
    file = rollout(
        test_repositories=("acme/lab",),
        capture={"percentage": 25, "whitelist": ["acme/tools", "acme/*"], "exclusions": ["b/c"]},
    )

    plan = plan_difference(file, file)

    assert (plan.change_count, plan.is_refused) == (0, False)
    assert only(plan).action is FeatureAction.NONE


def test_a_value_and_each_entry_is_a_change() -> None:
    base = rollout(capture={"percentage": 25, "whitelist": ["acme/old"]})
    head = rollout(capture={"percentage": 30, "whitelist": ["acme/new", "Other/*"]})

    scalar, entries = only(plan_difference(base, head)).changes

    assert isinstance(scalar, ScalarChange)
    assert (scalar.field.name, scalar.before, scalar.after) == ("percentage", 25, 30)
    assert isinstance(entries, ListChange)
    assert list(entries.added.values()) == ["acme/new", "other/*"]
    assert list(entries.removed.values()) == ["acme/old"]


def test_a_name_in_other_letters_is_the_same_entry() -> None:
    base = rollout(capture={"whitelist": ["Acme/Tools"]})
    head = rollout(capture={"whitelist": ["acme/tools"]})

    assert plan_difference(base, head).change_count == 0


def test_features_that_come_and_go_are_planned() -> None:
    plan = plan_difference(rollout(old={"percentage": 5}), rollout(new={"percentage": 5}))

    assert {each.name: each.action for each in plan.features} == {
        "new": FeatureAction.CREATE,
        "old": FeatureAction.DEACTIVATE,
    }
    assert [finding.guard for _, finding in plan.refusing] == [GuardName.FEATURE_REMOVED]


def test_a_guard_that_needs_no_database_refuses() -> None:
    plan = plan_difference(rollout(capture={"percentage": 10}), rollout(capture={"percentage": 90}))

    assert [finding.guard for _, finding in plan.refusing] == [GuardName.MAX_INCREASE]


def test_a_soak_is_not_judged_without_a_database() -> None:
    stages = [{"percentage": each, "soak": "1d"} for each in (10, 20, 30)]
    base = rollout(capture={"percentage": 10, "progression": stages})
    head = rollout(capture={"percentage": 30, "progression": stages})

    assert plan_difference(base, head).refusing == ()


def test_an_override_that_comes_or_goes_limits_and_resumes() -> None:
    free = rollout(capture={"percentage": 25})
    limited = rollout(capture={"percentage": 25, "override": override(1, 5)})

    narrowed = only(plan_difference(free, limited))
    assert int(narrowed.after.percentage) == 5
    assert narrowed.overrides.in_force == override(1, 5)
    resumed = only(plan_difference(limited, free))
    assert int(resumed.after.percentage) == 25
    assert resumed.overrides.resumed == (override(1, 5),)


def test_test_marks_that_come_and_go_are_named() -> None:
    plan = plan_difference(
        rollout(test_repositories=("acme/old",)), rollout(test_repositories=("acme/new",))
    )

    assert list(plan.test_repositories.added.values()) == ["acme/new"]
    assert list(plan.test_repositories.removed.values()) == ["acme/old"]
    assert plan.test_repositories.unresolved == ()
