"""The guard `first-apply`: what the first apply of a live feature may not open beyond live."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from reconciler.planning.guard_names import GuardName
from reconciler.planning.plan import FeaturePlan
from reconciler.planning.plan_inputs import PlanInputs
from reconciler.planning.planner import make_plan
from reconciler.rollout_file.model import Feature, Rollout
from rollout_client.targeting.strategy import Strategy
from tests.unit.planning.situations import FEATURE, configuration, feature, inputs_of

IMPORTED = feature(percentage=10, whitelist=["acme/a", "acme/b"], exclusions=["acme/c"])
"""The file that `reconcile import` wrote."""


def planned(file: Feature, inputs: PlanInputs) -> FeaturePlan:
    (plan,) = make_plan(Rollout(version=1, features={FEATURE: file}), inputs).features
    return plan


def refusals(file: Feature, inputs: PlanInputs) -> list[str]:
    findings = planned(file, inputs).findings
    return [each.message for each in findings if each.guard is GuardName.FIRST_APPLY]


def after_import(**by_sql: Any) -> PlanInputs:
    return inputs_of(live=configuration(IMPORTED, **by_sql))


@pytest.mark.parametrize(
    ("by_sql", "named"),
    [
        pytest.param(
            {"exclusions": frozenset({"acme/c", "acme/d"})},
            "exclusions −1",
            id="an exclusion added",
        ),
        pytest.param({"whitelist": frozenset()}, "whitelist +2", id="the whitelist emptied"),
        pytest.param({"whitelist": frozenset({"acme/a"})}, "whitelist +1", id="it is shorter"),
        pytest.param(
            {"strategy": Strategy.WHITELIST}, "strategy whitelist → percentage", id="the strategy"
        ),
        pytest.param({"salt": "other"}, "salt other → capture", id="the salt"),
        pytest.param(
            {"whitelist": frozenset({"acme/a"}), "exclusions": frozenset({"acme/c", "acme/b"})},
            "whitelist +1, exclusions −1;",
            id="both lists",
        ),
        pytest.param(
            {"whitelist": frozenset(), "percentage": Decimal(90)},
            "whitelist +2",
            id="90 percent too",
        ),
    ],
)
def test_a_narrowing_by_sql_after_an_import_is_not_undone(
    by_sql: dict[str, Any], named: str
) -> None:
    (refusal,) = refusals(IMPORTED, after_import(**by_sql))

    assert f"wider than live: {named}" in refusal


@pytest.mark.parametrize(
    "by_sql",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"percentage": Decimal(90)}, id="a higher percentage"),
        pytest.param({"percentage": Decimal(5)}, id="a lower percentage, which is kept"),
        pytest.param({"exclusions": frozenset()}, id="an exclusion removed"),
        pytest.param({"whitelist": frozenset({"acme/a", "acme/b", "acme/d"})}, id="an entry added"),
    ],
)
def test_a_file_that_is_no_wider_than_live_is_not_refused(by_sql: dict[str, Any]) -> None:
    assert refusals(IMPORTED, after_import(**by_sql)) == []


def test_a_file_that_narrows_the_strategy_is_not_refused() -> None:
    file = feature(percentage=10, strategy="whitelist", whitelist=["acme/a", "acme/b"])

    assert refusals(file, inputs_of(live=configuration(IMPORTED, exclusions=frozenset()))) == []


def test_a_new_feature_is_not_refused() -> None:
    assert refusals(IMPORTED, inputs_of()) == []


def test_a_feature_that_an_apply_has_stored_is_not_refused() -> None:
    file = feature(percentage=10, whitelist=["acme/a", "acme/b", "acme/e"])

    assert refusals(file, inputs_of(IMPORTED)) == []


def test_a_row_that_never_began_is_not_refused() -> None:
    assert refusals(IMPORTED, inputs_of(live=configuration())) == []


def test_a_row_without_an_audience_that_was_changed_is_refused() -> None:
    inputs = inputs_of(live=configuration())
    changed = replace(inputs.live.features[FEATURE], was_lowered=True)
    live = replace(inputs.live, features={FEATURE: changed})

    assert len(refusals(IMPORTED, replace(inputs, live=live))) == 1


def test_a_feature_that_an_adoption_recorded_is_compared_with_that() -> None:
    inputs = inputs_of(live=configuration(IMPORTED))
    found = inputs.live.features[FEATURE]
    adopted = replace(found, adopted=found.configuration)
    live = replace(inputs.live, features={FEATURE: adopted})
    file = feature(percentage=10, whitelist=["acme/a", "acme/b", "acme/e"])

    assert refusals(file, replace(inputs, live=live)) == []
