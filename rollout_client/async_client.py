"""The client in asyncio: a decision is a plain call; calls that wait are awaited."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from itertools import islice
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from rollout_client.arguments import Duration
from rollout_client.client import START_TIMEOUT, RolloutClient
from rollout_client.observer import Observer
from rollout_client.recorder import EXIT_TIMEOUT_SECONDS
from rollout_client.route import Job, Route
from rollout_client.state import Answer
from rollout_client.status import Status

_IDS_AT_ONCE: Final = 1000


class AsyncRolloutClient:
    """A `RolloutClient` for an event loop, which it never blocks."""

    def __init__(self, client: RolloutClient) -> None:
        self._client = client

    def is_eligible(self, repository: str | UUID, feature: str) -> bool:
        """Return whether a repository, by its id or `owner/name`, gets a feature."""
        return self._client.is_eligible(repository, feature)

    def explain(self, repository: str | UUID, feature: str) -> Answer:
        """Return the answer of `is_eligible` with the rule that gave it; do not route a job by it."""
        return self._client.explain(repository, feature)

    def decide(self, repository: str | UUID, feature: str) -> Answer:
        """Return the answer that routes a job; it may be the probe of an open circuit."""
        return self._client.decide(repository, feature)

    async def eligible(self, feature: str) -> AsyncIterator[str]:
        """Yield the ids of all repositories that get a feature."""
        ids = self._client.eligible(feature)
        while some := await asyncio.to_thread(lambda: tuple(islice(ids, _IDS_AT_ONCE))):
            for each in some:
                yield each

    def route(self, repository: str | UUID, job: Job) -> Route:
        """Return the processor that takes a job of a repository."""
        return self._client.route(repository, job)

    def job(self, repository: str | UUID, job: Job) -> AbstractContextManager[Route]:
        """Route a job and record its start and its outcome; an exception in `with` is a failure."""
        return self._client.job(repository, job)

    def record(
        self,
        repository: str | UUID,
        feature: str | Job,
        processor: str,
        *,
        succeeded: bool,
        seconds: Duration | None = None,
        error: object = None,
    ) -> bool:
        """Record the result of a job, like `RolloutClient.record`; `flush` waits until it is written."""
        return self._client.record(
            repository, feature, processor, succeeded=succeeded, seconds=seconds, error=error
        )

    async def flush(self, timeout: Duration = EXIT_TIMEOUT_SECONDS) -> bool:
        """Write the waiting outcomes; return whether the database settled all of them in time."""
        return await asyncio.to_thread(self._client.flush, timeout)

    def observe(self, observer: Observer) -> None:
        """Call an observer from now on, as `RolloutClient.observe` does."""
        self._client.observe(observer)

    def status(self) -> Status:
        """Return the state of the client."""
        return self._client.status()

    async def wait_until_ready(self, timeout: Duration = START_TIMEOUT) -> bool:
        """Start, and wait for data that is not stale; return False if that takes longer than `timeout`."""
        return await asyncio.to_thread(self._client.wait_until_ready, timeout)

    async def close(self) -> None:
        """Write the waiting outcomes, and stop following."""
        await asyncio.to_thread(self._client.close)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._client.__enter__)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
