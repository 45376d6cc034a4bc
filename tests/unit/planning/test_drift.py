"""Drift: a narrowing change is kept, a widening one reverted, any other one held."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from reconciler.planning.drift import AudienceChange, Decision
from reconciler.planning.feature_config import LIST_FIELDS, SCALAR_FIELDS
from reconciler.planning.feature_context import drift_to_judge
from reconciler.planning.live_state import Directory
from reconciler.planning.overrides import OverrideState, StoredOverride, Trace
from reconciler.planning.plan import FeatureAction
from reconciler.rollout_file.health_method import HealthMethod
from reconciler.rollout_file.override import Override
from reconciler.rollout_file.routing import RoutingRule
from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.strategy import Strategy
from tests.builders import override
from tests.unit.planning.situations import configuration, feature, inputs_of, plan_feature

FILE = feature(percentage=50, whitelist=["acme/a", "acme/b"], exclusions=["acme/x"])

DECISIONS: list[tuple[str, Any, Decision]] = [
    ("percentage", Decimal(10), Decision.KEEP),
    ("percentage", Decimal(60), Decision.REVERT),
    ("emergency_stop", True, Decision.KEEP),
    ("active", False, Decision.KEEP),
    ("whitelist", frozenset({"acme/a"}), Decision.HOLD),
    ("whitelist", frozenset({"acme/a", "acme/b", "acme/c"}), Decision.REVERT),
    ("whitelist", frozenset({"acme/a", "acme/c"}), Decision.HOLD),
    ("exclusions", frozenset({"acme/x", "acme/y"}), Decision.HOLD),
    ("exclusions", frozenset(), Decision.REVERT),
    ("processor", "batch", Decision.REVERT),
    ("fallback", "batch", Decision.REVERT),
    ("routing", (RoutingRule(to="inngest"),), Decision.REVERT),
    ("method", HealthMethod.EVIDENCE, Decision.REVERT),
    ("max_error_rate", Decimal(99), Decision.REVERT),
    ("max_regression", Decimal(99), Decision.REVERT),
    ("max_slowdown", Decimal(99), Decision.REVERT),
    ("false_alarms", Decimal("0.5"), Decision.REVERT),
    ("min_jobs", 99, Decision.REVERT),
    ("window", timedelta(days=3), Decision.REVERT),
    ("auto_rollback", False, Decision.REVERT),
    ("rollback_to", Decimal(5), Decision.REVERT),
    ("description", "by hand", Decision.REVERT),
]


@pytest.mark.parametrize(("name", "live", "decision"), DECISIONS)
def test_each_field_is_kept_reverted_or_held(name: str, live: Any, decision: Decision) -> None:
    plan = plan_feature(FILE, applied=FILE, live=configuration(FILE, **{name: live}))

    (drift,) = plan.drift
    assert (drift.field.name, drift.live, drift.decision) == (name, live, decision)
    assert plan.is_held == (decision is Decision.HOLD)
    assert (plan.overrides.kept is not None) == (decision is Decision.KEEP)
    if decision is Decision.REVERT:
        assert plan.after == configuration(FILE)
        assert plan.changes == ()


def test_every_field_has_a_decision() -> None:
    tried = {name for name, _, _ in DECISIONS} | {"strategy", "salt", "bucketing"}

    assert tried == {field.name for field in (*SCALAR_FIELDS, *LIST_FIELDS)}


@pytest.mark.parametrize(
    ("change", "decision"),
    [
        (AudienceChange(gained=0, lost=3), Decision.HOLD),
        (AudienceChange(gained=1, lost=3), Decision.REVERT),
        (AudienceChange(gained=0, lost=0), Decision.REVERT),
    ],
)
@pytest.mark.parametrize(
    ("name", "live"),
    [("strategy", Strategy.WHITELIST), ("salt", "other"), ("bucketing", Bucketing.HASHTEXT)],
)
def test_the_audience_decides_the_direction_of_what_draws_it(
    name: str, live: Any, change: AudienceChange, decision: Decision
) -> None:
    plan = plan_feature(
        FILE, applied=FILE, live=configuration(FILE, **{name: live}), audience={name: change}
    )

    assert [drift.decision for drift in plan.drift] == [decision]


def test_a_stop_by_sql_becomes_an_override_and_stays() -> None:
    stopped = configuration(FILE, percentage=Decimal(0), emergency_stop=True)

    plan = plan_feature(FILE, applied=FILE, live=stopped)

    kept = plan.overrides.kept
    assert kept is not None
    assert plan.overrides.in_force == kept
    assert plan.overrides.written == (StoredOverride(kept, OverrideState.ON),)
    assert (kept.by, kept.emergency_stop, kept.percentage) == ("database", True, None)
    assert "rollout_percentage 50 → 0" in kept.reason
    assert plan.after.emergency_stop
    assert plan.after.percentage == 0


def test_a_stop_by_sql_before_any_apply_becomes_an_override_and_stays() -> None:
    stopped = configuration(FILE, percentage=Decimal(0), emergency_stop=True)

    plan = plan_feature(FILE, live=stopped)

    kept = plan.overrides.kept
    assert kept is not None
    assert (kept.by, kept.emergency_stop) == ("database", True)
    assert plan.overrides.in_force == kept
    assert plan.after.emergency_stop
    assert plan.after.percentage == 0
    assert plan.desired.percentage == 50


def test_a_stop_that_an_override_records_is_no_drift() -> None:
    stopped = configuration(FILE, percentage=Decimal(0), emergency_stop=True)
    on = StoredOverride(override(1), OverrideState.ON)

    in_database = plan_feature(FILE, live=stopped, overrides=(on,))
    in_file = plan_feature(FILE.model_copy(update={"override": override(1)}), live=stopped)

    assert (in_database.drift, in_file.drift) == ((), ())
    assert in_database.after.emergency_stop
    assert in_file.after.emergency_stop


def test_a_lower_percentage_by_sql_limits_the_next_file() -> None:
    next_file = FILE.model_copy(update={"percentage": Decimal(60)})

    plan = plan_feature(next_file, applied=FILE, live=configuration(FILE, percentage=Decimal(20)))

    assert plan.after.percentage == 20
    assert plan.desired.percentage == 60
    assert plan.action is FeatureAction.UPDATE


def test_drift_is_measured_against_the_override_in_force() -> None:
    on = StoredOverride(override(1, 10), OverrideState.ON)

    as_limited = plan_feature(
        FILE, applied=FILE, live=configuration(FILE, percentage=Decimal(10)), overrides=(on,)
    )
    lifted = plan_feature(FILE, applied=FILE, live=configuration(FILE), overrides=(on,))

    assert as_limited.drift == ()
    assert [drift.decision for drift in lifted.drift] == [Decision.REVERT]
    assert lifted.after.percentage == 10


def test_a_stop_by_sql_supersedes_a_wider_override() -> None:
    on = StoredOverride(override(1, 10), OverrideState.ON)
    stopped = configuration(FILE, percentage=Decimal(0), emergency_stop=True)

    plan = plan_feature(FILE, applied=FILE, live=stopped, overrides=(on,))

    kept = plan.overrides.kept
    assert kept is not None
    rows = {row.id: row for row in plan.overrides.written}
    assert rows[on.id].state is OverrideState.DONE
    assert rows[on.id].superseded_by == kept.id
    assert rows[kept.id].state is OverrideState.ON


def test_kept_drift_is_the_same_override_in_a_preview_and_its_apply() -> None:
    live = configuration(FILE, percentage=Decimal(20))

    plans = [plan_feature(FILE, applied=FILE, live=live) for _ in range(2)]

    assert plans[0].overrides.kept == plans[1].overrides.kept
    assert plans[0].overrides.kept is not None


@pytest.mark.parametrize(
    ("next_file", "decision"),
    [
        ({"whitelist": ["acme/a"]}, Decision.ADOPT),
        ({"whitelist": ["ACME/A"]}, Decision.ADOPT),
        ({"whitelist": ["acme/b"]}, Decision.HOLD),
        ({"percentage": 40}, Decision.HOLD),
    ],
)
def test_held_drift_that_is_in_the_file_is_adopted(
    next_file: dict[str, Any], decision: Decision
) -> None:
    live = configuration(FILE, whitelist=frozenset({"acme/a"}))
    desired = feature(**{**FILE.model_dump(exclude_unset=True), **next_file})

    plan = plan_feature(desired, applied=FILE, live=live)

    assert [drift.decision for drift in plan.drift] == [decision]
    assert plan.is_held == (decision is Decision.HOLD)
    if decision is Decision.ADOPT:
        assert plan.after == live
        assert plan.changes == ()
        assert plan.change_count == 1


def test_a_live_strategy_that_is_in_the_file_is_adopted() -> None:
    live = configuration(FILE, strategy=Strategy.WHITELIST)

    plan = plan_feature(
        FILE.model_copy(update={"strategy": Strategy.WHITELIST}),
        applied=FILE,
        live=live,
        audience={"strategy": AudienceChange(gained=0, lost=3)},
    )

    assert [drift.decision for drift in plan.drift] == [Decision.ADOPT]
    assert plan.after == live


def test_an_entry_resolved_after_the_drift_is_adopted_by_its_id() -> None:
    known = Directory(ids={"acme/a": "1a"}, names={"1a": "acme/a"}, owned={})
    applied = configuration(FILE)

    plan = plan_feature(
        FILE.model_copy(update={"whitelist": ("acme/a",)}),
        applied=applied,
        live=configuration(FILE, whitelist=frozenset({"acme/a"})),
        directory=known,
    )

    assert [drift.decision for drift in plan.drift] == [Decision.ADOPT]
    assert plan.after.whitelist == {"1a"}


def test_a_file_that_narrows_further_adopts_what_is_live() -> None:
    live = configuration(FILE, whitelist=frozenset({"acme/a"}))
    desired = FILE.model_copy(update={"whitelist": ()})

    plan = plan_feature(desired, applied=FILE, live=live)

    assert [drift.decision for drift in plan.drift] == [Decision.ADOPT]
    assert plan.after.whitelist == frozenset()


def test_an_exclusion_and_a_removed_entry_by_sql_can_be_adopted() -> None:
    applied = feature(percentage=10, whitelist=["acme/a", "acme/b"])
    live = configuration(applied, whitelist=frozenset({"acme/a"}), exclusions=frozenset({"acme/a"}))
    # A file has an entry in one list only, so an excluded entry leaves the whitelist.
    adopted = feature(percentage=10, exclusions=["acme/a"])

    plan = plan_feature(adopted, applied=applied, live=live)

    assert [drift.decision for drift in plan.drift] == [Decision.ADOPT, Decision.ADOPT]
    assert plan.after == configuration(adopted)
    assert plan.findings == ()


def test_an_adopted_entry_does_not_hide_that_the_file_empties_the_list() -> None:
    applied = feature(percentage=10, whitelist=["acme/a", "acme/b"])
    live = configuration(applied, whitelist=frozenset({"acme/a"}))

    plan = plan_feature(feature(percentage=10), applied=applied, live=live)

    assert [each.guard for each in plan.findings] == ["list-emptied"]


@pytest.mark.parametrize(
    ("live", "limit"),
    [
        pytest.param({"percentage": Decimal(20)}, Decimal(20), id="a percentage"),
        pytest.param({"percentage": Decimal(20), "emergency_stop": True}, None, id="a stop"),
    ],
)
def test_a_narrowing_before_the_first_apply_is_kept(
    live: dict[str, Any], limit: Decimal | None
) -> None:
    found = configuration(feature(percentage=50), **live)

    plan = plan_feature(feature(percentage=50), live=found)

    assert plan.overrides.kept is not None
    assert plan.overrides.kept.percentage == limit
    assert [drift.decision for drift in plan.drift] == [Decision.KEEP]
    assert (plan.after.percentage, plan.after.emergency_stop) == (
        found.percentage,
        found.emergency_stop,
    )


@pytest.mark.parametrize(
    ("live", "block"),
    [
        pytest.param(0, None, id="a feature that never began"),
        pytest.param(50, None, id="as the file"),
        pytest.param(80, None, id="above the file"),
        pytest.param(20, override(1, 20), id="as its block limits it"),
    ],
)
def test_nothing_else_is_kept_before_the_first_apply(live: int, block: Override | None) -> None:
    desired = feature(percentage=50, override=block)
    found = configuration(feature(percentage=50), percentage=Decimal(live))

    plan = plan_feature(desired, live=found)

    assert (plan.drift, plan.overrides.kept) == ((), None)


def test_after_a_restore_kept_drift_gets_an_id_that_git_does_not_know() -> None:
    live = configuration(FILE, emergency_stop=True, percentage=Decimal(0))
    first = plan_feature(FILE, applied=FILE, live=live).overrides.kept
    assert first is not None

    removed = {first.id: Trace(was_there=True, removals=1)}
    again = plan_feature(FILE, applied=FILE, live=live, traces=removed).overrides.kept
    done = (StoredOverride(first, OverrideState.DONE),)
    later = plan_feature(FILE, applied=FILE, live=live, overrides=done).overrides.kept

    assert again is not None
    assert again.id != first.id
    assert later is not None
    assert later.id == again.id


def test_a_strategy_narrowed_by_sql_is_judged_without_a_stop() -> None:
    stop = override(1)
    stopped = configuration(
        FILE, strategy=Strategy.WHITELIST, emergency_stop=True, percentage=Decimal(0), active=False
    )
    inputs = inputs_of(FILE, live=stopped, overrides=(StoredOverride(stop, OverrideState.ON),))

    ((name, field, expected, live),) = drift_to_judge(inputs)

    assert (name, field.name) == ("capture", "strategy")
    assert (expected.exposure, live.exposure) == (
        configuration(FILE).exposure,
        configuration(FILE).exposure,
    )
    assert (expected.strategy, live.strategy) == (Strategy.PERCENTAGE, Strategy.WHITELIST)
