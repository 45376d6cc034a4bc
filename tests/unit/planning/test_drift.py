"""Drift: a narrowing change is kept, a widening one reverted, any other one held."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from reconciler.planning.drift import AudienceChange, Decision
from reconciler.planning.feature_config import LIST_FIELDS, SCALAR_FIELDS
from reconciler.planning.live_state import Directory
from reconciler.planning.overrides import OverrideState, StoredOverride
from reconciler.planning.plan import FeatureAction
from reconciler.targeting.buckets import Bucketing
from reconciler.targeting.strategy import Strategy
from tests.builders import override
from tests.unit.planning.situations import configuration, feature, plan_feature

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
    ("max_error_rate", Decimal(99), Decision.REVERT),
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
        ({"whitelist": []}, Decision.HOLD),
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
