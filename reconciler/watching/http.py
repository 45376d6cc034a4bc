"""Serving how a watcher does over HTTP: `/healthz` as JSON, `/metrics` as Prometheus reads it.

Answers are made from the watch's status when they are asked for; nothing is counted twice.
"""

import json
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from reconciler.errors import SetupInvalid
from reconciler.listen_address import ListenAddress
from reconciler.operations.events import Subject
from reconciler.planning.health import Verdict
from reconciler.watching.status import Role
from reconciler.watching.watch import Watch

REQUEST_TIMEOUT_SECONDS: Final = 10
POLL_SECONDS: Final = 0.1
"""How soon the server notices that it is to end."""


@contextmanager
def serving(watch: Watch, address: ListenAddress) -> Iterator[ListenAddress]:
    """Serve how a watch does, in a thread; yield where.

    Raises:
        SetupInvalid: nothing can listen there.
    """
    try:
        server = _Server(watch, address)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "the host's name cannot be read"
        raise SetupInvalid(f"cannot listen on {address}: {why}; name another address") from None
    thread = Thread(target=server.serve_forever, args=(POLL_SECONDS,), name="server", daemon=True)
    thread.start()
    try:
        yield ListenAddress(address.host, server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


class WatchMetrics(Collector):
    """A watch's status as metrics."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def collect(self) -> Iterable[Metric]:
        yield from self._of_the_watch()
        yield from self._of_the_features()

    def _of_the_watch(self) -> Iterator[Metric]:
        status = self._watch.status
        ticks = CounterMetricFamily(
            "rollout_watch_ticks", "Ticks by how they ended.", labels=["outcome"]
        )
        ticks.add_metric(["succeeded"], status.ticks)
        ticks.add_metric(["failed"], status.failed_ticks)
        yield ticks
        yield GaugeMetricFamily(
            "rollout_watch_active",
            "Whether this is the active watcher.",
            value=status.role is Role.ACTIVE,
        )
        if status.last_tick_at is not None:
            yield GaugeMetricFamily(
                "rollout_watch_last_tick_seconds",
                "When a tick succeeded last, in seconds since 1970.",
                value=status.last_tick_at,
            )
        failing = GaugeMetricFamily(
            "rollout_watch_failing", "What fails now and is tried again.", labels=["subject"]
        )
        for subject in Subject:
            failing.add_metric([subject.value], self._watch.troubles.is_failing(subject))
        yield failing
        yield GaugeMetricFamily(
            "rollout_pending_write_back",
            "Overrides that git does not have yet.",
            value=status.pending,
        )

    def _of_the_features(self) -> Iterator[Metric]:
        status = self._watch.status
        verdicts = GaugeMetricFamily(
            "rollout_verdict", "1 for the feature's verdict.", labels=["feature", "verdict"]
        )
        rates = GaugeMetricFamily(
            "rollout_error_rate",
            "The share of the jobs that failed, in percent; absent without jobs.",
            labels=["feature"],
        )
        limited = GaugeMetricFamily(
            "rollout_override_in_force", "Whether an override is in force.", labels=["feature"]
        )
        for each in status.features:
            for verdict in Verdict:
                is_it = each.health.judgement.verdict is verdict
                verdicts.add_metric([each.name, verdict.value], is_it)
            metrics = each.health.metrics
            rate = None if metrics is None else metrics.total.error_rate
            if rate is not None:
                rates.add_metric([each.name], float(rate))
            limited.add_metric([each.name], each.is_limited)
        rollbacks = CounterMetricFamily(
            "rollout_rollbacks", "Rollbacks that this watcher made.", labels=["feature"]
        )
        for name, count in status.rollbacks.items():
            rollbacks.add_metric([name], count)
        yield from (verdicts, rates, limited, rollbacks)


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, watch: Watch, address: ListenAddress) -> None:
        if ":" in address.host:
            self.address_family = socket.AF_INET6
        self.watch = watch
        self.registry = CollectorRegistry()
        self.registry.register(WatchMetrics(watch))
        super().__init__((address.host, address.port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked has gone."""


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT_SECONDS
    server: _Server

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's word
        """The log is of the watch alone."""

    def version_string(self) -> str:
        return "reconcile"

    def _answer(self, *, has_body: bool) -> None:
        match self.path.partition("?")[0]:
            case "/healthz":
                status, kind, body = self._health()
            case "/metrics":
                encode, kind = choose_encoder(self.headers.get("Accept") or "")
                status, body = HTTPStatus.OK, encode(self.server.registry)
            case _:
                status, kind = HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8"
                body = b"there are /healthz and /metrics\n"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if has_body:
            self.wfile.write(body)

    def _health(self) -> tuple[HTTPStatus, str, bytes]:
        status, now = self.server.watch.status, time.monotonic()
        code = HTTPStatus.OK if status.is_healthy(now) else HTTPStatus.SERVICE_UNAVAILABLE
        return code, "application/json", f"{json.dumps(status.report(now))}\n".encode()
