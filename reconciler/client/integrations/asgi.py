"""`rollout_client.integrations.asgi` under its first name."""

from rollout_client.integrations.asgi import RolloutMiddleware, rollout_lifespan

__all__ = ["RolloutMiddleware", "rollout_lifespan"]
