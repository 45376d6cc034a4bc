"""Observation: each request is counted and, on request, logged; `/metrics` has the counts."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.exposition import choose_exposition
from rollout_client.client import RolloutClient

_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 10)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answered request."""

    method: str
    path: str
    status: int
    seconds: float


class Metrics:
    """The metrics of `/metrics`."""

    def __init__(self, client: RolloutClient) -> None:
        self._client = client
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "rollout_ofrep_requests", "Requests by status.", ["status"], registry=self._registry
        )
        self._seconds = Histogram(
            "rollout_ofrep_request_seconds",
            "Time from a request to the end of its answer.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._age = Gauge(
            "rollout_ofrep_state_age_seconds",
            "Time since the database last confirmed the state; NaN before it was read.",
            registry=self._registry,
        )
        self._stale = Gauge(
            "rollout_ofrep_stale",
            "1 while every flag is off because the state is too old.",
            registry=self._registry,
        )

    def count(self, answered: Answered) -> None:
        """Count a request."""
        self._requests.labels(str(answered.status)).inc()
        self._seconds.observe(answered.seconds)

    async def serve(self, request: Request) -> Response:
        """Return the metrics in the format that the request asks for."""
        status = self._client.status()
        self._age.set(float("nan") if status.age is None else status.age.total_seconds())
        self._stale.set(status.is_stale)
        encode, content_type = choose_exposition(request.headers.get("accept"))
        return Response(encode(self._registry), media_type=content_type)


class Observed:
    """An application whose answers are observed."""

    def __init__(self, application: ASGIApp, observe: Callable[[Answered], None]) -> None:
        self._application = application
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and observe its answer."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._application(scope, receive, send_and_note)
        finally:
            seconds = time.perf_counter() - began
            self._observe(Answered(scope["method"], scope["path"], status, seconds))
