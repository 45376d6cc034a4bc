"""A stored state has all of a configuration; one stored by an older release can be read."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import given

from reconciler.errors import SetupInvalid
from reconciler.planning.desired import default_configuration, stored_thresholds
from reconciler.planning.exposure import exposure_from_state
from reconciler.planning.feature_config import (
    FIELDS,
    Configuration,
    ListField,
    ScalarField,
    from_state,
    to_state,
)
from reconciler.planning.plan_inputs import read_generation
from reconciler.rollout_file.health_method import HealthMethod
from reconciler.rollout_file.routing import RoutedJobs, RoutingRule
from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.categories import DEFAULT_THRESHOLDS, Category, Threshold
from rollout_client.targeting.strategy import Strategy

GENERATIONS = sorted(Path(__file__).parents[2].joinpath("corpus/generations").glob("*.json"))
"""A generation of each schema of a release; new ones are added, and existing ones never change."""

PERCENTAGES = st.decimals(0, 100, places=2)
KEYS = st.frozensets(st.text("abc/*-1", min_size=1, max_size=8))
CONFIGURATIONS = st.builds(
    Configuration,
    active=st.booleans(),
    emergency_stop=st.booleans(),
    strategy=st.sampled_from(Strategy),
    percentage=PERCENTAGES,
    salt=st.text(min_size=1),
    bucketing=st.sampled_from(Bucketing),
    whitelist=KEYS,
    exclusions=KEYS,
    processor=st.text(min_size=1, max_size=50),
    fallback=st.text(min_size=1, max_size=50),
    routing=st.lists(
        st.builds(
            RoutingRule,
            when=st.builds(
                RoutedJobs,
                size=st.sampled_from([None, "<=10", "> 5"]),
                kind=st.lists(st.sampled_from(["reviews", "comments"])).map(tuple),
                category=st.lists(st.sampled_from(Category)).map(tuple),
            ),
            to=st.sampled_from(["github_actions", "inngest"]),
            because=st.sampled_from([None, "it is quicker"]),
        )
    ).map(tuple),
    method=st.sampled_from(HealthMethod),
    max_error_rate=PERCENTAGES,
    max_regression=PERCENTAGES,
    max_slowdown=st.none() | PERCENTAGES,
    false_alarms=st.decimals("0.0001", "0.5", places=4),
    min_jobs=st.integers(1, 1_000_000),
    window=st.integers(1, 365 * 86_400).map(lambda seconds: timedelta(seconds=seconds)),
    auto_rollback=st.booleans(),
    rollback_to=PERCENTAGES,
    description=st.none() | st.text(min_size=1),
)


def stored(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@given(CONFIGURATIONS)
def test_a_state_read_back_is_what_was_written(configuration: Configuration) -> None:
    assert from_state("alpha", json.loads(json.dumps(to_state(configuration)))) == configuration


@pytest.mark.parametrize("path", GENERATIONS, ids=lambda path: path.stem)
def test_a_generation_of_every_schema_can_be_read(path: Path) -> None:
    generation = stored(path)

    applied = read_generation(generation["desired"], generation["effective"])

    for name, feature in applied.features.items():
        state = to_state(feature.desired)
        limited = {"percentage", "emergency_stop"}
        assert state.items() >= {
            (key, value)
            for key, value in generation["effective"]["features"][name].items()
            if key not in limited and not isinstance(value, list)
        }


def test_the_first_generation_has_the_state_of_its_file() -> None:
    generation = stored(GENERATIONS[0])

    applied = read_generation(generation["desired"], generation["effective"])

    capture = applied.features["capture"]
    assert capture.override == UUID("019343a7-6f8e-7c34-9a55-0b8a1f0d2c11")
    assert capture.desired == Configuration(
        active=True,
        emergency_stop=False,
        strategy=Strategy.REPOSITORY_SIZE,
        percentage=Decimal(50),
        salt="pepper",
        bucketing=Bucketing.SHA256,
        whitelist=frozenset(
            {
                "00000000-0000-4000-8000-000000000001",
                "00000000-0000-4000-8000-000000000007",
                "acme/*",
                "no/one",
            }
        ),
        exclusions=frozenset({"00000000-0000-4000-8000-000000000002", "gamma/gone"}),
        processor="github_actions",
        fallback="inngest",
        routing=(),
        method=HealthMethod.THRESHOLD,
        max_error_rate=Decimal("2.5"),
        max_regression=Decimal(2),
        max_slowdown=None,
        false_alarms=Decimal("0.001"),
        min_jobs=3,
        window=timedelta(minutes=90),
        auto_rollback=False,
        rollback_to=Decimal("1.25"),
        description="Grüße, 世界",
    )
    assert applied.names["beta/tool-1"] == "00000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
@pytest.mark.parametrize("path", GENERATIONS, ids=lambda path: path.stem)
def test_a_key_that_was_not_stored_has_its_default(
    path: Path, field: ScalarField | ListField
) -> None:
    state = stored(path)["effective"]["features"]["capture"]
    state.pop(field.name, None)

    read = from_state("capture", state)

    assert field.read(read) == field.read(default_configuration("capture"))
    assert exposure_from_state("capture", state) == read.exposure
    others = {each.name for each in FIELDS} - {field.name}
    assert all(to_state(read)[each] == state[each] for each in others & state.keys())


def test_a_generation_without_names_and_features_can_be_read() -> None:
    applied = read_generation({}, {})

    assert (applied.features, applied.names) == ({}, {})


def test_a_threshold_that_was_not_stored_has_its_default() -> None:
    thresholds = stored_thresholds({"small": {"stars": 75}, "gigantic": {"stars": 1}})

    default = DEFAULT_THRESHOLDS[Category.SMALL]
    assert thresholds[Category.SMALL] == Threshold(
        75, default.contributors, default.pull_requests, default.priority
    )
    assert thresholds[Category.LARGE] == DEFAULT_THRESHOLDS[Category.LARGE]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("strategy", "by_moon"),
        ("bucketing", "md5"),
        ("method", ["evidence"]),
        ("percentage", "many"),
        ("window", "1 moon"),
        ("whitelist", 7),
        ("routing", [{"moon": "full"}]),
    ],
)
def test_a_value_of_a_newer_release_is_refused_by_its_name(key: str, value: object) -> None:
    with pytest.raises(SetupInvalid, match=f"alpha: .*{key}.* install the release"):
        read_generation({}, {"features": {"alpha": {key: value}}})


def test_a_key_of_a_newer_release_is_left_out() -> None:
    read = read_generation({}, {"features": {"alpha": {"percentage": 5, "moon": "full"}}})

    assert read.features["alpha"].desired.percentage == 5


def test_a_freeze_of_a_newer_release_is_refused_by_its_key() -> None:
    weekend = {"name": "weekend", "from": "fri 16:00", "to": "mon 08:00", "moon": "full"}

    with pytest.raises(SetupInvalid, match=r"freezes\.moon: .* install the release"):
        read_generation({"freezes": [weekend]}, {})
