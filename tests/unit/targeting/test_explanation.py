"""Explanations: a sentence for every rule, and the same answer as without a reason."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import Repository, Rule, Targeting, is_eligible
from rollout_client.targeting.environment import NO_OVERRIDE, EnvironmentOverride
from rollout_client.targeting.explanation import decide, explain
from rollout_client.targeting.strategy import Strategy
from tests.builders import targeting

REPOSITORY = Repository(
    id="6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11", full_name="Acme/Tools", category=Category.MEDIUM
)
BY_PERCENTAGE = targeting("12.50")
BY_SIZE = replace(BY_PERCENTAGE, strategy=Strategy.REPOSITORY_SIZE)


def _read(variables: Mapping[str, str]) -> EnvironmentOverride:
    return EnvironmentOverride.parse(variables)


def _said(
    targeting: Targeting | None,
    repository: Repository | None = REPOSITORY,
    environment: EnvironmentOverride = NO_OVERRIDE,
) -> tuple[bool, str, str]:
    decision = decide("capture", targeting, repository, environment)
    return decision.eligible, decision.rule.value, decision.reason


def test_every_rule_has_a_reason() -> None:
    assert [
        _said(BY_PERCENTAGE, environment=_read({"ROLLOUT_EMERGENCY_STOP": "true"})),
        _said(BY_PERCENTAGE, environment=_read({"ROLLOUT_EMERGENCY_STOP": "capture"})),
        _said(None),
        _said(replace(BY_PERCENTAGE, active=False)),
        _said(replace(BY_PERCENTAGE, emergency_stop=True)),
        _said(BY_PERCENTAGE, None),
        _said(replace(BY_PERCENTAGE, exclusions=frozenset({"acme/*"}))),
        _said(replace(BY_PERCENTAGE, whitelist=frozenset({"acme/*", "acme/tools"}))),
        _said(replace(BY_PERCENTAGE, strategy=Strategy.WHITELIST)),
        _said(BY_PERCENTAGE),
        _said(replace(BY_PERCENTAGE, percentage=Decimal("99.99"))),
        _said(BY_SIZE),
        _said(replace(BY_SIZE, percentage=Decimal(50))),
        _said(BY_SIZE, replace(REPOSITORY, marked_as_test=True)),
    ] == snapshot(
        [
            (False, "environment_stop", "ROLLOUT_EMERGENCY_STOP is true"),
            (False, "environment_stop", "ROLLOUT_EMERGENCY_STOP names the feature"),
            (False, "unknown_feature", "no feature has this name"),
            (False, "inactive", "the feature is inactive"),
            (False, "emergency_stop", "the emergency stop is on"),
            (False, "unknown_repository", "no repository has this id"),
            (False, "excluded", "the exclusions have acme/*"),
            (True, "whitelisted", "the whitelist has acme/tools"),
            (
                False,
                "whitelist_strategy",
                "the strategy is whitelist, and the whitelist does not have it",
            ),
            (False, "percentage_strategy", "bucket 7018 is not under 1250 (12.5 %)"),
            (True, "percentage_strategy", "bucket 7018 is under 9999 (99.99 %)"),
            (
                False,
                "size_strategy",
                "medium repositories are eligible from 50 %, the percentage is 12.5 %",
            ),
            (
                True,
                "size_strategy",
                "medium repositories are eligible from 50 %, the percentage is 50 %",
            ),
            (
                True,
                "size_strategy",
                "repositories marked as test are eligible from 10 %, the percentage is 12.5 %",
            ),
        ]
    )


def test_the_environment_is_named_if_it_lowers_the_percentage() -> None:
    assert [
        _said(BY_PERCENTAGE, environment=_read({"ROLLOUT_PERCENTAGE": "5"})),
        _said(BY_PERCENTAGE, environment=_read({"ROLLOUT_PERCENTAGE": "5 percent"})),
        _said(BY_PERCENTAGE, environment=_read({"ROLLOUT_PERCENTAGE": "50"})),
        _said(BY_SIZE, environment=_read({"ROLLOUT_PERCENTAGE": "5"})),
    ] == snapshot(
        [
            (
                False,
                "percentage_strategy",
                "bucket 7018 is not under 500 (5 %, lowered by ROLLOUT_PERCENTAGE)",
            ),
            (
                False,
                "percentage_strategy",
                "bucket 7018 is not under 0 (0 %, since ROLLOUT_PERCENTAGE is not a number from 0 to 100)",
            ),
            (False, "percentage_strategy", "bucket 7018 is not under 1250 (12.5 %)"),
            (
                False,
                "size_strategy",
                "medium repositories are eligible from 50 %, the percentage is 5 %, lowered by ROLLOUT_PERCENTAGE",
            ),
        ]
    )


def test_every_rule_is_shown_in_order_with_its_finding() -> None:
    listed = replace(BY_PERCENTAGE, whitelist=frozenset({"acme/tools"}))

    assert [
        (each.rule.value, each.decides, each.found)
        for each in explain("capture", listed, REPOSITORY)
    ] == snapshot(
        [
            ("environment_stop", False, "ROLLOUT_EMERGENCY_STOP does not stop the feature"),
            ("unknown_feature", False, "the feature is configured"),
            ("inactive", False, "the feature is active"),
            ("emergency_stop", False, "the emergency stop is off"),
            ("unknown_repository", False, "the repository is known"),
            ("excluded", False, "the exclusions do not have it"),
            ("whitelisted", True, "the whitelist has acme/tools"),
            ("whitelist_strategy", False, "the strategy is percentage"),
            ("percentage_strategy", False, "bucket 7018 is not under 1250 (12.5 %)"),
            ("size_strategy", False, "the strategy is percentage"),
        ]
    )


def test_a_rule_that_cannot_be_evaluated_is_reported() -> None:
    assert [each.found for each in explain("capture", None, None)] == snapshot(
        [
            "ROLLOUT_EMERGENCY_STOP does not stop the feature",
            "no feature has this name",
            "not asked: the feature is not known",
            "not asked: the feature is not known",
            "no repository has this id",
            "not asked: the feature is not known",
            "not asked: the feature is not known",
            "not asked: the feature is not known",
            "not asked: the feature is not known",
            "not asked: the feature is not known",
        ]
    )
    assert [each.found for each in explain("capture", BY_PERCENTAGE, None)] == snapshot(
        [
            "ROLLOUT_EMERGENCY_STOP does not stop the feature",
            "the feature is configured",
            "the feature is active",
            "the emergency stop is off",
            "no repository has this id",
            "not asked: the repository is not known",
            "not asked: the repository is not known",
            "not asked: the repository is not known",
            "not asked: the repository is not known",
            "not asked: the repository is not known",
        ]
    )


@pytest.mark.parametrize("targeting", [None, BY_PERCENTAGE])
@pytest.mark.parametrize("repository", [None, REPOSITORY])
def test_bucket_and_category_are_shown_if_known(
    targeting: Targeting | None, repository: Repository | None
) -> None:
    decision = decide("capture", targeting, repository)

    assert (decision.bucket is None) == (targeting is None or repository is None)
    assert decision.category == (None if repository is None else Category.MEDIUM)


_keys = st.frozensets(st.sampled_from(["acme/*", "acme/tools", REPOSITORY.id, "other/*"]))


@given(
    st.none()
    | st.builds(
        Targeting,
        active=st.booleans(),
        emergency_stop=st.booleans(),
        strategy=st.sampled_from(Strategy),
        percentage=st.decimals(0, 100, places=2),
        salt=st.text(st.characters(exclude_categories=["Cs"])),
        whitelist=_keys,
        exclusions=_keys,
    ),
    st.none()
    | st.builds(
        Repository,
        id=st.uuids().map(str),
        full_name=st.sampled_from(["acme/tools", "Other/Site", None]),
        category=st.sampled_from(Category),
        marked_as_test=st.booleans(),
    ),
    st.builds(
        lambda stop, percentage: _read(
            {"ROLLOUT_EMERGENCY_STOP": stop, "ROLLOUT_PERCENTAGE": percentage}
        ),
        st.sampled_from(["", "true", "capture", "other"]),
        st.sampled_from(["", "0", "12.5", "100", "x"]),
    ),
)
def test_the_answer_is_the_same_with_and_without_a_reason(
    targeting: Targeting | None, repository: Repository | None, environment: EnvironmentOverride
) -> None:
    decision = decide("capture", targeting, repository, environment)
    findings = explain("capture", targeting, repository, environment)

    assert decision.eligible == is_eligible("capture", targeting, repository, environment)
    assert [each.rule for each in findings] == list(Rule)
    assert [(each.rule, each.found) for each in findings if each.decides] == [
        (decision.rule, decision.reason)
    ]
