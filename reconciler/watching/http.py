"""HTTP server of the watch: `/healthz` as JSON, `/metrics` in the formats of Prometheus."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from reconciler.errors import SetupInvalid
from reconciler.listen_address import ListenAddress
from reconciler.watching.metrics import WatchMetrics
from reconciler.watching.watch import Watch

REQUEST_TIMEOUT_SECONDS: Final = 10
POLL_SECONDS: Final = 0.1
"""The server notices within this time that it should end."""


@contextmanager
def serving(watch: Watch, metrics: WatchMetrics, address: ListenAddress) -> Iterator[ListenAddress]:
    """Serve the status of a watch in a thread; yield the address, with its real port.

    Raises:
        SetupInvalid: the address cannot be listened on.
    """
    try:
        server = _Server(watch, metrics, address)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "the host name is invalid"
        raise SetupInvalid(f"cannot listen on {address}: {why}; use another address") from None
    thread = Thread(target=server.serve_forever, args=(POLL_SECONDS,), name="server", daemon=True)
    thread.start()
    try:
        yield ListenAddress(address.host, server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, watch: Watch, metrics: WatchMetrics, address: ListenAddress) -> None:
        if ":" in address.host:
            self.address_family = socket.AF_INET6
        self.watch = watch
        self.registry = CollectorRegistry()
        self.registry.register(metrics)
        super().__init__((address.host, address.port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that closed the connection."""


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT_SECONDS
    server: _Server

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's word
        """Log nothing: requests are not events of the watch."""

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
                body = b"not found; use /healthz or /metrics\n"
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
