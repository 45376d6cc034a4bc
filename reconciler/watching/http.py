"""HTTP server of the watch: its probes, and `/metrics` in the formats of Prometheus.

`/livez` is about the process; `/readyz` and `/healthz` show whether ticks succeed, as JSON.
"""

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Lock, Thread
from typing import Any, Final

from prometheus_client import CollectorRegistry

from reconciler.errors import SetupInvalid
from reconciler.exposition import choose_exposition
from reconciler.invalid_requests import InvalidRequests
from reconciler.listen_address import ListenAddress, host_of, is_loopback
from reconciler.watching.metrics import WatchMetrics
from reconciler.watching.watch import Watch

MAX_CONNECTIONS: Final = 32
"""More connections close the oldest ones, so that descriptors remain for the database and for git."""
REQUEST_TIMEOUT_SECONDS: Final = 10.0
"""From the connection to the end of the answer."""
POLL_SECONDS: Final = 0.1
"""The server notices within this time that it should end."""


@contextmanager
def serving(
    watch: Watch, metrics: WatchMetrics, address: ListenAddress, invalid_requests: InvalidRequests
) -> Iterator[ListenAddress]:
    """Serve the status of a watch in a thread; yield the address, with its real port.

    Requests that cannot be read are noted with `invalid_requests`.

    Raises:
        SetupInvalid: the address cannot be listened on.
    """
    try:
        server = _Server(watch, metrics, address, invalid_requests)
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
    request_queue_size = MAX_CONNECTIONS

    def __init__(
        self,
        watch: Watch,
        metrics: WatchMetrics,
        address: ListenAddress,
        invalid_requests: InvalidRequests,
    ) -> None:
        if ":" in address.host:
            self.address_family = socket.AF_INET6
        self.watch = watch
        self.address = address
        self.invalid_requests = invalid_requests
        self.registry = CollectorRegistry()
        self.registry.register(metrics)
        self._lock = Lock()
        self._accepted_at: dict[socket.socket, float] = {}
        """Open connections, the oldest first."""
        super().__init__((address.host, address.port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread; if too many are open, close the oldest."""
        with self._lock:
            oldest = next(iter(self._accepted_at), None)
            if oldest is not None and len(self._accepted_at) >= MAX_CONNECTIONS:
                self._cut(oldest)
            self._accepted_at[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; its thread calls this at its end."""
        with self._lock:
            self._accepted_at.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Close each connection whose request was not answered in time."""
        latest = time.monotonic() - REQUEST_TIMEOUT_SECONDS
        with self._lock:
            for request, accepted_at in list(self._accepted_at.items()):
                if accepted_at < latest:
                    self._cut(request)

    def handle_error(self, request: object, client_address: Any) -> None:
        """Note a request that could not be answered; ignore a connection that was closed meanwhile."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.invalid_requests.note(
                str(client_address[0]), f"cannot be answered: {type(error).__name__}"
            )

    def _cut(self, request: socket.socket) -> None:
        """End a connection; its thread then sees the end of the data, and closes it."""
        del self._accepted_at[request]
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT_SECONDS
    server: _Server

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def log_error(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's word
        """Note a request that cannot be read; a sender that was too slow sent none."""
        if not any(isinstance(each, TimeoutError) for each in arguments):
            self.server.invalid_requests.note(str(self.client_address[0]), format % arguments)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's word
        """Log nothing: requests are not events of the watch."""

    def version_string(self) -> str:
        return "reconcile"

    def _answer(self, *, has_body: bool) -> None:
        match self.path.partition("?")[0]:
            case _ if not self._is_allowed_host():
                # A page in a browser can send requests here by a name that leads to this machine.
                status, kind = HTTPStatus.FORBIDDEN, "text/plain; charset=utf-8"
                body = b"use a name of this machine, such as localhost\n"
            case "/livez":
                status, kind, body = HTTPStatus.OK, "application/json", b'{"status": "ok"}\n'
            case "/readyz" | "/healthz":
                status, kind, body = self._health()
            case "/metrics":
                encode, kind = choose_exposition(self.headers.get("Accept"))
                status, body = HTTPStatus.OK, encode(self.server.registry)
            case _:
                status, kind = HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8"
                body = b"not found; use /livez, /readyz, /healthz or /metrics\n"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if has_body:
            self.wfile.write(body)

    def _is_allowed_host(self) -> bool:
        host = self.headers.get("Host")
        return not self.server.address.is_loopback or host is None or is_loopback(host_of(host))

    def _health(self) -> tuple[HTTPStatus, str, bytes]:
        status, now = self.server.watch.status, time.monotonic()
        code = HTTPStatus.OK if status.is_healthy(now) else HTTPStatus.SERVICE_UNAVAILABLE
        return code, "application/json", f"{json.dumps(status.report(now))}\n".encode()
