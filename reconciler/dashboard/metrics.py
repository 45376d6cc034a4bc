"""The dashboard's own metrics: requests, streams, and how it notices changes."""

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.responses import Response

from reconciler.dashboard.live.changes import Changes, Mode
from reconciler.exposition import choose_exposition

if TYPE_CHECKING:
    from starlette.requests import Request

    from reconciler.ofrep.observation import Answered

_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.3, 1, 5)


class Metrics:
    """What `/metrics` has."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "rollout_dashboard_requests",
            "Requests by method and status.",
            ["method", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "rollout_dashboard_request_seconds",
            "Time from a request to the end of its answer, without streams.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._streams = Gauge(
            "rollout_dashboard_streams", "Open streams of live pages.", registry=self._registry
        )
        self._current = Gauge(
            "rollout_dashboard_current",
            "1 if the database gave a sign of life in the last ten seconds; 0 also without streams.",
            registry=self._registry,
        )
        self._listening = Gauge(
            "rollout_dashboard_listening",
            "1 if notifications arrive, 0 if it polls.",
            registry=self._registry,
        )

    def count(self, answered: "Answered") -> None:
        """Count a request."""
        method = answered.method if answered.method in ("GET", "HEAD", "POST") else "other"
        self._requests.labels(method, str(answered.status)).inc()
        if answered.path != "/live":
            self._seconds.observe(answered.seconds)

    async def serve(self, request: "Request") -> Response:
        """Return the metrics in the format that the request asks for."""
        self._streams.set(self._changes.streams)
        self._current.set(self._changes.confirmed() is not None)
        self._listening.set(self._changes.mode is Mode.LISTENING)
        encode, content_type = choose_exposition(request.headers.get("accept"))
        return Response(encode(self._registry), media_type=content_type)
