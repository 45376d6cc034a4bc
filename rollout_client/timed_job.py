"""A job that is routed and counted at its begin, and recorded at its end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

from rollout_client.route import Job, Route
from rollout_client.running_jobs import RunningJobs


class _Client(Protocol):
    def route(self, repository: str | UUID, job: Job) -> Route: ...

    def record(
        self,
        repository: str | UUID,
        feature: str | Job,
        processor: str,
        *,
        succeeded: bool,
        seconds: float | None = None,
        error: object = None,
    ) -> bool: ...


@contextmanager
def timed_job(
    client: _Client, running: RunningJobs, repository: str | UUID, job: Job
) -> Iterator[Route]:
    """Yield the route of a job, and record its outcome and its time; an exception is a failure.

    No outcome is recorded if the job is cancelled or the process ends.
    """
    route, started = running.begin(job.feature, lambda: client.route(repository, job))
    began = time.monotonic()
    try:
        yield route
    except Exception as error:
        seconds = time.monotonic() - began
        client.record(
            repository, job, route.processor, succeeded=False, seconds=seconds, error=error
        )
        raise
    else:
        seconds = time.monotonic() - began
        client.record(repository, job, route.processor, succeeded=True, seconds=seconds)
    finally:
        running.end(started)
