"""A configuration as JSON says all of it."""

import json
from datetime import timedelta

import hypothesis.strategies as st
from hypothesis import given

from reconciler.planning.feature_config import Configuration, from_state, to_state
from reconciler.targeting.strategy import Strategy

PERCENTAGES = st.decimals(0, 100, places=2)
KEYS = st.frozensets(st.text("abc/*-1", min_size=1, max_size=8))
CONFIGURATIONS = st.builds(
    Configuration,
    active=st.booleans(),
    emergency_stop=st.booleans(),
    strategy=st.sampled_from(Strategy),
    percentage=PERCENTAGES,
    salt=st.text(min_size=1),
    whitelist=KEYS,
    exclusions=KEYS,
    max_error_rate=PERCENTAGES,
    min_jobs=st.integers(1, 1_000_000),
    window=st.integers(1, 365 * 86_400).map(lambda seconds: timedelta(seconds=seconds)),
    auto_rollback=st.booleans(),
    rollback_to=PERCENTAGES,
    description=st.none() | st.text(min_size=1),
)


@given(CONFIGURATIONS)
def test_a_state_read_back_is_what_was_written(configuration: Configuration) -> None:
    assert from_state(json.loads(json.dumps(to_state(configuration)))) == configuration
