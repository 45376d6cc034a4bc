"""`rollout_client.integrations.rq` under its first name."""

from rollout_client.integrations.rq import RolloutWorker, RolloutWorkerMixin

__all__ = ["RolloutWorker", "RolloutWorkerMixin"]
