"""The client for tests under its first name."""

from rollout_client.testing import FakeRolloutClient

__all__ = ["FakeRolloutClient"]
