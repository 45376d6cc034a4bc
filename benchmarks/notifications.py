"""Notifications: from the commit of a stop by SQL until the receivers have it, beside a mute one.

The watcher is a process as people run it. Of its three receivers two answer at once, and the third
accepts connections and never answers. The receivers are of this process.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, LiteralString

import psycopg

from benchmarks.harness import Row
from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.embedded import EmbeddedServer
from reconciler.database.transactions import Database

INTERVAL_SECONDS: Final = 1
ACTS: Final = 200
_DEADLINE_SECONDS: Final = 60
_BETWEEN_ACTS_SECONDS: Final = 0.1
_SECRET: Final = "whsec_YmVuY2htYXJrIG9mIG5vdGlmaWNhdGlvbnM="  # noqa: S105 - of this run alone

_FEATURE: LiteralString = """
INSERT INTO rollout_configuration (feature_name, rollout_percentage) VALUES ('capture', 50)
"""
_TARGETS: LiteralString = """
INSERT INTO rollout_notification_target (name, kind, events, severities, features)
SELECT name, 'webhook', '{}', '{}', '{}' FROM unnest(ARRAY['one', 'two', 'mute']) AS name
"""
_STOP: LiteralString = "UPDATE rollout_configuration SET emergency_stop = %s"
_LEASE: LiteralString = "SELECT count(*) FROM rollout_lease WHERE until > now()"


def run() -> Iterator[Row]:
    """Yield the row of this table, measured on an embedded server of its own."""
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedServer(Path(name) / "server")
        try:
            url = server.start()
            schema.upgrade(Database.at(DatabaseAddress.parse(url)).engine)
            yield _deliveries(url, Path(name))
        finally:
            server.stop()


def _deliveries(url: str, folder: Path) -> Row:
    """Stop and resume at many moments of the watcher's interval; measure each delivery."""
    taken: list[float] = []
    with (
        _receiver() as one,
        _receiver() as two,
        _mute_receiver() as mute,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        connection.execute(_FEATURE)
        connection.execute(_TARGETS)
        addresses = {"ONE": one.url, "TWO": two.url, "MUTE": mute}
        with _watching(url, folder, addresses):
            _wait_for_lease(connection)
            for number in range(ACTS):
                time.sleep(_BETWEEN_ACTS_SECONDS + (number * 37 % 100) / 100 * INTERVAL_SECONDS)
                connection.execute(_STOP, (number % 2 == 0,))
                committed = time.monotonic()
                taken += [each.wait(number + 1) - committed for each in (one, two)]
    taken.sort()
    return Row(
        f"from the commit of a stop by SQL until a receiver has it, beside a mute one, "
        f"`watch --interval {INTERVAL_SECONDS}`: 99 of 100",
        "-",
        taken[int(len(taken) * 0.99)],
        most_seconds=2.0,
        note=(
            f"median {statistics.median(taken) * 1000:.0f} ms, longest {taken[-1]:.2f} s "
            f"of {len(taken)} deliveries to two receivers"
        ),
    )


class _Receiver:
    """A webhook that accepts each request, and knows when it came."""

    def __init__(self) -> None:
        self._arrived: list[float] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                receiver.note()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def note(self) -> None:
        with self._changed:
            self._arrived.append(time.monotonic())
            self._changed.notify_all()

    def wait(self, number: int) -> float:
        """Return when the request of this number came."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self._arrived) >= number, _DEADLINE_SECONDS)
            assert came, f"request {number} never came"
            return self._arrived[number - 1]


@contextmanager
def _receiver() -> Iterator[_Receiver]:
    receiver = _Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


@contextmanager
def _mute_receiver() -> Iterator[str]:
    """Accept connections into the queue of the system; read nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=1_000) as mute:
        yield f"http://127.0.0.1:{mute.getsockname()[1]}/"


@contextmanager
def _watching(url: str, folder: Path, addresses: dict[str, str]) -> Iterator[None]:
    """Run a watcher until the block ends."""
    secrets = {f"ROLLOUT_NOTIFY_{name}_SECRET": _SECRET for name in addresses}
    urls = {f"ROLLOUT_NOTIFY_{name}_URL": address for name, address in addresses.items()}
    options = ("--interval", str(INTERVAL_SECONDS), "--quiet", "--no-write-back")
    with subprocess.Popen(
        [sys.executable, "-m", "reconciler", "watch", *options],
        cwd=folder,
        env={
            **os.environ,
            **secrets,
            **urls,
            "DATABASE_URL": url,
            "ROLLOUT_NOTIFY_ALLOW_PRIVATE": "true",
        },
    ) as watcher:
        try:
            yield
        finally:
            watcher.terminate()


def _wait_for_lease(connection: "psycopg.Connection[tuple[int]]") -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while connection.execute(_LEASE).fetchone() != (1,):
        assert time.monotonic() < deadline, "the watcher never became active"
        time.sleep(0.01)
