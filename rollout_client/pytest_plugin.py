"""A plugin for pytest, which `rollout-client` installs: the fixture `fake_rollout_client`."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rollout_client.testing import FakeRolloutClient


@pytest.fixture
def fake_rollout_client() -> "FakeRolloutClient":
    """Return a client without a database, for one test; `set_eligible` gives it features."""
    from rollout_client.testing import FakeRolloutClient

    return FakeRolloutClient(eligible={})
