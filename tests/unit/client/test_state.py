"""A client's state: a yes needs the newest features and those of the time the repositories were read."""

from dataclasses import replace
from decimal import Decimal

from rollout_client.reads import Feature
from rollout_client.state import ClientRule, State
from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import Repository, Rule, Targeting
from rollout_client.targeting.environment import EnvironmentOverride
from tests.builders import targeting

REPOSITORY = Repository("10000000-0000-4000-8000-000000000001", "acme/site", Category.SMALL)
ON = targeting(100, salt="f")
OFF = replace(ON, percentage=Decimal(0))
STOPPED = replace(ON, emergency_stop=True)


def feature(targeting: Targeting, version: str = "1", updated_at: float = 1) -> dict[str, Feature]:
    return {"f": Feature(targeting, version, updated_at)}


def known(newest: dict[str, Feature], whole: dict[str, Feature]) -> State:
    nothing = State()
    return nothing.with_whole(whole, nothing.repositories, 5).with_newest(newest, 10)


def test_a_yes_needs_both_reads() -> None:
    assert known(feature(ON), feature(ON)).is_eligible(REPOSITORY, "f")
    for newest, whole in ((OFF, ON), (ON, OFF), (STOPPED, ON), (ON, STOPPED)):
        state = known(feature(newest, "2"), feature(whole, "1"))
        assert not state.is_eligible(REPOSITORY, "f")
        assert not state.explain(REPOSITORY, "f").eligible
    assert not known(feature(ON), {}).is_eligible(REPOSITORY, "f")
    assert not known({}, feature(ON)).is_eligible(REPOSITORY, "f")


def test_the_state_is_as_old_as_its_older_read() -> None:
    assert known(feature(ON), feature(ON)).confirmed_at == 5


def test_a_row_older_than_a_known_stop_does_not_lift_it() -> None:
    state = known(feature(STOPPED, "2", updated_at=20), feature(ON))
    for _ in range(2):
        state = state.with_newest(feature(ON, "1", updated_at=10), 30)
        assert state.explain(REPOSITORY, "f").rule is Rule.EMERGENCY_STOP
    assert not state.with_newest({}, 30).is_eligible(REPOSITORY, "f")


def test_a_stop_read_with_the_repositories_counts() -> None:
    """The database was restored before the features alone were read."""
    before = feature(ON, "1", updated_at=10)
    state = State().with_newest(before, 5)
    state = state.with_whole(feature(STOPPED, "2", updated_at=20), state.repositories, 10)
    state = state.with_newest(before, 30).with_whole(before, state.repositories, 30)
    assert state.explain(REPOSITORY, "f").rule is Rule.EMERGENCY_STOP


def test_a_stop_is_kept_while_its_feature_is_missing() -> None:
    state = known(feature(STOPPED, "2", updated_at=20), feature(ON)).with_newest({}, 30)
    state = state.with_newest(feature(ON, "1", updated_at=10), 40)
    assert state.explain(REPOSITORY, "f").rule is Rule.EMERGENCY_STOP


def test_a_row_as_new_as_the_stop_or_newer_lifts_it() -> None:
    """People who end an override by hand may leave the time unchanged."""
    for updated_at in (20.0, 21.0):
        state = known(feature(STOPPED, "2", updated_at=20), feature(ON, "3"))
        state = state.with_newest(feature(ON, "4", updated_at=updated_at), 30)
        assert state.is_eligible(REPOSITORY, "f")


def test_only_a_widening_change_requests_a_full_read() -> None:
    assert known(feature(ON, "2"), feature(OFF)).widened_since_whole
    assert not known(feature(STOPPED, "2"), feature(ON)).widened_since_whole
    assert not known({}, feature(ON)).widened_since_whole
    assert not known(feature(ON, "2"), feature(ON)).widened_since_whole


def test_a_stale_state_says_no_after_the_environment_rules() -> None:
    state = known(feature(ON), feature(ON))
    assert state.explain_stale("f", 300).rule is ClientRule.STALE
    stopping = replace(state, environment=EnvironmentOverride(stops_all=True))
    assert stopping.explain_stale("f", 300).rule is Rule.ENVIRONMENT_STOP
