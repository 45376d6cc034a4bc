"""Eligibility in Python: the order of the rules, and properties for every percentage."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_client.targeting.buckets import bucket
from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import (
    Repository,
    Rule,
    deciding_rule,
    is_eligible,
)
from rollout_client.targeting.environment import EnvironmentOverride
from rollout_client.targeting.strategy import Strategy
from tests.builders import targeting

REPOSITORY = Repository(
    id="6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11", full_name="Acme/Tools", category=Category.SMALL
)
TARGETING = targeting(100)

percentages = st.decimals(0, 100, places=2)
repositories = st.builds(
    Repository,
    id=st.uuids().map(str),
    full_name=st.just("acme/tools"),
    category=st.sampled_from(Category),
    marked_as_test=st.booleans(),
)


def test_the_rules_apply_in_the_order_of_the_contract() -> None:
    """Every rule applies; without the first one, the next one decides."""
    stopped = EnvironmentOverride.parse({"ROLLOUT_EMERGENCY_STOP": "true"})
    everything = replace(
        TARGETING,
        active=False,
        emergency_stop=True,
        strategy=Strategy.WHITELIST,
        whitelist=frozenset({"acme/tools"}),
        exclusions=frozenset({"acme/*"}),
    )
    active = replace(everything, active=True)
    running = replace(active, emergency_stop=False)
    included = replace(running, exclusions=frozenset())
    unlisted = replace(included, whitelist=frozenset())

    assert [
        deciding_rule("capture", None, None, stopped),
        deciding_rule("capture", None, None),
        deciding_rule("capture", everything, None),
        deciding_rule("capture", active, None),
        deciding_rule("capture", running, None),
        deciding_rule("capture", running, REPOSITORY),
        deciding_rule("capture", included, REPOSITORY),
        deciding_rule("capture", unlisted, REPOSITORY),
        deciding_rule("capture", replace(unlisted, strategy=Strategy.PERCENTAGE), REPOSITORY),
        deciding_rule("capture", replace(unlisted, strategy=Strategy.REPOSITORY_SIZE), REPOSITORY),
    ] == list(Rule)


@pytest.mark.parametrize("key", [REPOSITORY.id, "acme/tools", "acme/*"])
def test_a_list_has_a_repository_by_id_by_name_and_by_owner(key: str) -> None:
    excluded = replace(TARGETING, exclusions=frozenset({key}))
    listed = replace(TARGETING, percentage=Decimal(0), whitelist=frozenset({key}))

    assert not is_eligible("capture", excluded, REPOSITORY)
    assert is_eligible("capture", listed, REPOSITORY)


@pytest.mark.parametrize("key", ["acme", "acme/tool", "acme/tools2", "acm/*", "*", "other/tools"])
def test_a_list_does_not_match_a_part_of_a_name(key: str) -> None:
    assert is_eligible("c", replace(TARGETING, exclusions=frozenset({key})), REPOSITORY)


def test_a_bucket_is_eligible_if_the_percentage_is_above_it() -> None:
    place = bucket("capture", REPOSITORY.id)
    at = replace(TARGETING, percentage=Decimal(place) / 100)
    above = replace(TARGETING, percentage=Decimal(place + 1) / 100)

    assert not is_eligible("capture", at, REPOSITORY)
    assert is_eligible("capture", above, REPOSITORY)


@given(repositories, percentages, percentages, st.sampled_from(Strategy))
def test_raising_the_percentage_never_removes_a_repository(
    repository: Repository, one: Decimal, other: Decimal, strategy: Strategy
) -> None:
    lower = replace(TARGETING, strategy=strategy, percentage=min(one, other))
    higher = replace(lower, percentage=max(one, other))

    assert is_eligible("c", higher, repository) >= is_eligible("c", lower, repository)


@given(repositories, percentages, percentages, st.sampled_from(Strategy))
def test_the_environment_only_lowers_the_percentage(
    repository: Repository, percentage: Decimal, limit: Decimal, strategy: Strategy
) -> None:
    targeting = replace(TARGETING, strategy=strategy, percentage=percentage)
    lowered = replace(targeting, percentage=min(percentage, limit))
    environment = EnvironmentOverride.parse({"ROLLOUT_PERCENTAGE": str(limit)})

    assert is_eligible("c", targeting, repository, environment) == is_eligible(
        "c", lowered, repository
    )


@pytest.mark.parametrize("strategy", Strategy)
def test_at_0_percent_only_the_whitelist_is_eligible(strategy: Strategy) -> None:
    ids = [str(UUID(int=number)) for number in range(20_000)]
    whitelist = frozenset(ids[::100])
    nobody = replace(TARGETING, strategy=strategy, percentage=Decimal(0), whitelist=whitelist)

    assert whitelist == {
        key
        for key in ids
        for category in (Category.TEST, Category.ENTERPRISE)
        if is_eligible("capture", nobody, Repository(key, "acme/tools", category))
    }


def test_25_percent_is_a_quarter_of_200000_repositories() -> None:
    quarter = replace(TARGETING, percentage=Decimal(25))
    taken = sum(
        is_eligible("capture", quarter, Repository(str(UUID(int=each)), None, Category.LARGE))
        for each in range(200_000)
    )

    assert 0.245 < taken / 200_000 < 0.255


@pytest.mark.parametrize(
    ("percentage", "categories"),
    [
        ("5", []),
        ("10", ["test"]),
        ("30", ["test", "small"]),
        ("99", ["test", "small", "medium", "large"]),
        ("100", ["test", "small", "medium", "large", "enterprise"]),
    ],
)
def test_between_two_sizes_the_lower_step_applies(percentage: str, categories: list[str]) -> None:
    by_size = replace(TARGETING, strategy=Strategy.REPOSITORY_SIZE, percentage=Decimal(percentage))

    assert categories == [
        each.value
        for each in Category
        if is_eligible("c", by_size, replace(REPOSITORY, category=each))
    ]


def test_a_repository_without_a_name_is_found_by_its_id_only() -> None:
    nameless = replace(REPOSITORY, full_name=None)
    listed = replace(TARGETING, percentage=Decimal(0), whitelist=frozenset({"acme/tools", "/*"}))

    assert not is_eligible("c", listed, nameless)
    assert is_eligible("c", replace(listed, whitelist=frozenset({nameless.id})), nameless)
