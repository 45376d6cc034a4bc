"""`rollout_client.integrations.celery` under its first name."""

from rollout_client.integrations.celery import install

__all__ = ["install"]
