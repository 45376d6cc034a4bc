"""`rollout_client.integrations.wsgi` under its first name."""

from rollout_client.integrations.wsgi import RolloutMiddleware

__all__ = ["RolloutMiddleware"]
