"""rq: outcomes are written after each job, since the process of a job ends without exit handlers.

rq worker --worker-class rollout_client.integrations.rq.RolloutWorker
"""

from typing import Any

from rq import Worker

from rollout_client.recorder import EXIT_TIMEOUT_SECONDS, flush_all


class RolloutWorkerMixin:
    """For a worker class of your own: put it before rq's in the list of base classes."""

    def perform_job(self, *arguments: Any, **keywords: Any) -> bool:
        """Perform a job, and write the outcomes that it recorded."""
        try:
            return bool(super().perform_job(*arguments, **keywords))  # type: ignore[misc]
        finally:
            flush_all(EXIT_TIMEOUT_SECONDS)


class RolloutWorker(RolloutWorkerMixin, Worker):
    """rq's worker that writes outcomes after each job."""
