from decimal import Decimal

import pytest

from rollout_client.targeting.environment import NO_OVERRIDE, EnvironmentOverride


def test_an_environment_without_the_variables_has_no_effect() -> None:
    assert EnvironmentOverride.parse({"PATH": "/bin"}) == NO_OVERRIDE


def test_empty_variables_count_as_not_set() -> None:
    empty = {"ROLLOUT_EMERGENCY_STOP": "", "ROLLOUT_PERCENTAGE": " "}

    assert EnvironmentOverride.parse(empty) == NO_OVERRIDE


@pytest.mark.parametrize("written", ["true", "TRUE", " true ", "other,true"])
def test_true_stops_every_feature(written: str) -> None:
    override = EnvironmentOverride.parse({"ROLLOUT_EMERGENCY_STOP": written})

    assert override.stops("capture")


def test_names_stop_the_features_named_and_no_others() -> None:
    override = EnvironmentOverride.parse({"ROLLOUT_EMERGENCY_STOP": "capture, Search ,,"})

    assert [override.stops(each) for each in ("capture", "search", "captur", "")] == [
        True, True, False, False,
    ]  # fmt: skip


def test_a_feature_is_stopped_by_name_in_any_case() -> None:
    override = EnvironmentOverride.parse({"ROLLOUT_EMERGENCY_STOP": "Capture"})

    assert override.stops("capture")
    assert override.stops("CAPTURE")


@pytest.mark.parametrize("written", ["false", "0", "no"])
def test_an_unknown_name_stops_no_feature(written: str) -> None:
    assert not EnvironmentOverride.parse({"ROLLOUT_EMERGENCY_STOP": written}).stops("capture")


@pytest.mark.parametrize(("written", "limit"), [("0", "0"), (" 12.5 ", "12.5"), ("100", "100")])
def test_a_percentage_is_a_limit(written: str, limit: str) -> None:
    override = EnvironmentOverride.parse({"ROLLOUT_PERCENTAGE": written})

    assert override.percentage == Decimal(limit)
    assert not override.percentage_is_malformed


@pytest.mark.parametrize(
    "written",
    ["25%", "-1", "101", "100.01", "1e1", "NaN", "Infinity", "ten", "1_0", "5,5", "٥", "12.345"],
)
def test_an_unreadable_percentage_counts_as_0(written: str) -> None:
    override = EnvironmentOverride.parse({"ROLLOUT_PERCENTAGE": written})

    assert override.percentage == 0
    assert override.percentage_is_malformed
