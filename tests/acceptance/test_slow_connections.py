"""Attacks by slow, many and malformed connections: other clients still get answers."""

import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.acceptance.test_serve import serving as serving_ofrep
from tests.eventually import eventually
from tests.postgres import Database
from tests.site import Site
from tests.watching import Watcher, actions, fail_jobs, take_half_in, watching


@pytest.fixture
def connections() -> Iterator[Callable[[str, int], list[socket.socket]]]:
    """Opens many connections that send only the start of a request."""
    with ExitStack() as opened:

        def open_many(address: str, number: int) -> list[socket.socket]:
            host, _, port = address.rpartition(":")
            found = []
            for _ in range(number):
                connection = opened.enter_context(socket.create_connection((host, int(port)), 30))
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
                found.append(connection)
            return found

        yield open_many


def descriptors(watcher: Watcher) -> int:
    return len(os.listdir(f"/proc/{watcher.process.pid}/fd"))  # noqa: PTH208


def is_closed(connection: socket.socket) -> bool:
    """Return whether the server closed a connection; waits for data as long as its timeout."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_watch_under_slow_connections_still_rolls_back(
    site: Site, connections: Callable[[str, int], list[socket.socket]]
) -> None:
    take_half_in(site)
    with watching(site) as start:
        watcher = start("--listen", "127.0.0.1:0")
        address = watcher.tells("started")["listen"]
        watcher.ticks_on()
        before = descriptors(watcher)

        slow = connections(address, 200)
        fail_jobs(site)
        watcher.tells("write_back", feature="capture", outcome="written")

        assert actions(site) == ["auto_rollback"]
        assert watcher.get("/healthz")[0] == 200
        eventually(lambda: descriptors(watcher) <= before + 48)
        assert is_closed(slow[0])


def test_a_watch_closes_a_request_that_takes_too_long(
    site: Site, connections: Callable[[str, int], list[socket.socket]]
) -> None:
    with watching(site) as start:
        address = start("--listen", "127.0.0.1:0").tells("started")["listen"]
        (slow,) = connections(address, 1)
        began = time.monotonic()

        # One byte now and then does not extend the time.
        while time.monotonic() < began + 20:
            slow.settimeout(0.5)
            try:
                if is_closed(slow):
                    break
            except TimeoutError:
                slow.sendall(b"X")

    assert 9 < time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:1", 200),
        ("127.0.0.1", 200),
        ("[::1]:9464", 200),
        ("rebound.example", 403),
        ("", 403),
    ],
)
def test_a_watch_on_loopback_answers_by_names_of_this_machine_only(
    site: Site, host: str, status: int
) -> None:
    take_half_in(site)
    with watching(site) as start:
        watcher = start("--listen", "127.0.0.1:0")
        watcher.ticks_on()
        url = f"http://{watcher.tells('started')['listen']}"

        for path in ("/healthz", "/metrics"):
            assert httpx.get(f"{url}{path}", headers={"Host": host}).status_code == status


def test_serve_under_slow_connections_still_answers(
    module_database: Database,
    connections: Callable[[str, int], list[socket.socket]],
) -> None:
    with serving_ofrep(module_database.url) as served:
        address = served.url.removeprefix("http://")
        slow = connections(address, 600)

        eventually(lambda: served.health()[0] == 200)
        assert is_closed(slow[0])
        assert len(os.listdir(f"/proc/{served.process.pid}/fd")) < 600  # noqa: PTH208


def test_serve_closes_a_request_that_takes_too_long(
    module_database: Database,
    connections: Callable[[str, int], list[socket.socket]],
) -> None:
    with serving_ofrep(module_database.url) as served:
        (slow,) = connections(served.url.removeprefix("http://"), 1)
        began = time.monotonic()

        assert is_closed(slow)

    assert 9 < time.monotonic() - began < 15


BAD_REQUESTS = [
    b"POST /unknown HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /unknown HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabcdef\r\n\r\n",
    b"GET /healthz HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
]


def test_malformed_requests_leave_no_traceback_in_the_log_of_serve(
    module_database: Database, tmp_path: Path
) -> None:
    with serving_ofrep(module_database.url) as served:
        host, _, port = served.url.removeprefix("http://").rpartition(":")
        for request in BAD_REQUESTS:
            for pause in (0.0, 0.1):
                with socket.create_connection((host, int(port)), 30) as connection:
                    with suppress(OSError):
                        connection.sendall(request)
                        time.sleep(pause)
                        connection.sendall(b"zz\r\n\r\n")
                        connection.shutdown(socket.SHUT_WR)
                    while not is_closed(connection):
                        pass
        eventually(lambda: served.health()[0] == 200)
        served.process.terminate()
        served.process.wait(60)
        assert served.process.stderr is not None
        log = served.process.stderr.read()

    assert not re.search("Traceback|Error|Exception", log), log


UNREADABLE_BY_SERVE = [
    b"POST /unknown HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    b"POST /ofrep/v1/evaluate/flags HTTP/1.1\r\nHost: localhost\r\nContent-Length: one\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA: \x00\r\n\r\n",
    b"GET /healthz HTTP/9.9\r\n\r\n",
    b"GET /heal thz HTTP/1.1\r\n\r\n",
    b"\x1b]0;title\x07\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: " + b"a" * 20_000 + b"\r\n\r\n",
]
UNREADABLE_BY_WATCH = [
    b"GET /healthz HTTP/9.9\r\n\r\n",
    b"GET /heal thz HTTP/1.1\r\n\r\n",
    b"GET /metrics\r\n\r\nGET\r\n",
    b"\x1b]0;title\x07\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    b"BREW /healthz HTTP/1.1\r\n\r\n",
    b"POST /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: a\r\n" * 200 + b"\r\n",
]


def send_unreadable(address: str, request: bytes) -> None:
    """Send a request, and wait until the server has closed the connection."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 30) as connection, suppress(OSError):
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass


def reported(lines: list[str]) -> int:
    """Return how many unreadable requests the lines of a log report; every line is of one."""
    found = [json.loads(line) for line in lines]
    assert {each["event"] for each in found} <= {"invalid_request"}
    return sum(1 + each["others"] for each in found)


def test_serve_reports_an_unreadable_request_in_one_line(module_database: Database) -> None:
    with serving_ofrep(module_database.url, "--log-format", "json") as served:
        address = served.url.removeprefix("http://")
        for request in UNREADABLE_BY_SERVE:
            send_unreadable(address, request)
        # A line a second; the last one has the number of those without a line.
        sent = len(UNREADABLE_BY_SERVE)
        lines: list[str] = []
        assert served.process.stderr is not None
        reading = served.process.stderr
        Thread(target=lambda: lines.extend(iter(reading.readline, "")), daemon=True).start()

        def all_are_reported() -> bool:
            nonlocal sent
            send_unreadable(address, UNREADABLE_BY_SERVE[0])
            sent += 1
            own = [line for line in lines if '"invalid_request"' in line]
            return reported(own) >= len(UNREADABLE_BY_SERVE)

        eventually(all_are_reported)
        served.process.terminate()
        served.process.wait(60)

    assert not re.search("Traceback|Exception|\x1b", "".join(lines))
    assert reported([line for line in lines if '"invalid_request"' in line]) <= sent


def test_a_watch_reports_an_unreadable_request_in_one_line(site: Site) -> None:
    with watching(site) as start:
        watcher = start("--listen", "127.0.0.1:0")
        address = watcher.tells("started")["listen"]
        for request in UNREADABLE_BY_WATCH:
            send_unreadable(address, request)

        def all_are_reported() -> bool:
            send_unreadable(address, UNREADABLE_BY_WATCH[0])
            own = [line for line in watcher.lines if '"invalid_request"' in line]
            return reported(own) >= len(UNREADABLE_BY_WATCH)

        eventually(all_are_reported)
        assert watcher.get("/healthz")[0] == 200

    assert not re.search("Traceback|Exception|\x1b", "".join(watcher.lines))
