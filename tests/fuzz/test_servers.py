"""Many hostile requests: `serve` and `watch --listen` answer or close each, log no traceback and keep their memory."""

import re
import socket
import sys
import threading
from collections.abc import Callable
from itertools import islice
from random import Random

import pytest

from tests.acceptance.test_serve import serving as serving_ofrep
from tests.database.test_client import load
from tests.eventually import eventually
from tests.fuzz.mutation import mutations
from tests.fuzz.observation import MOST_GROWTH_BYTES, MOST_SECONDS, Observation
from tests.postgres import Database
from tests.site import Site
from tests.watching import take_half_in, watching

FLAGS = b"/ofrep/v1/evaluate/flags"
BODY = b'{"context": {"targetingKey": "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11", "repository": "acme/tools"}}'
REQUESTS = [
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n",
    b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain;version=1.0.0;escaping=dots\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\n\r\n",
    b"POST %b/some HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer correct-horse-battery-staple\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (FLAGS, len(BODY), BODY),
    b"POST %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer correct-horse-battery-staple\r\n"
    b'If-None-Match: "a", W/"b"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n'
    % (FLAGS, len(BODY), BODY),
]
FRAGMENTS = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b": ",
        b":",
        b" ",
        b"\t",
        b"\x00",
        b"\xff",
        b"\x1b[2J",
        b"%00",
        b"%2e%2e/",
        b"?",
        b"#",
    ),
    *(
        b"GET ",
        b"POST ",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b" HTTP/1.0",
        b" HTTP/9.9",
        b"http://a.example/",
    ),
    *(
        b"Host: a\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999\r\n",
    ),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Expect: 100-continue\r\n",
    ),
    *(
        b"Upgrade: websocket\r\nConnection: upgrade\r\n",
        b"Upgrade: h2c\r\n",
        b"Connection: close\r\n",
    ),
    *(
        b"Accept: application/openmetrics-text\r\n",
        b"Accept: ;;;version=\r\n",
        b"Accept-Encoding: gzip\r\n",
    ),
    *(
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"5\r\nabcde\r\n",
        b"zz\r\n",
        b"{",
        b"[" * 50,
        b'"',
        b"null",
        b"1e999",
    ),
    *(
        b"A: " + b"a" * 9000 + b"\r\n",
        b"/healthz",
        b"/metrics",
        FLAGS,
        b"/../../etc/passwd",
        b"\xe2\x80\xae",
    ),
]
THREADS = 4


def send(address: tuple[str, int], content: bytes) -> None:
    """Send a request and the end of it, and read the answer to its end."""
    try:
        with socket.create_connection(address, 60) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass
    except OSError as error:
        # The server may close the connection at any moment; it may not leave it open.
        if isinstance(error, TimeoutError):
            raise


def flood(address: str, observation: Observation) -> None:
    """Send the planned requests from some threads; fail if one gets neither an answer nor an end."""
    host, _, port = address.rpartition(":")
    source = islice(mutations(Random(16), REQUESTS, FRAGMENTS), observation.planned)
    lock = threading.Lock()
    failures: list[BaseException] = []

    def work() -> None:
        while not failures:
            with lock:
                content = next(source, None)
            if content is None:
                return
            try:
                with observation.observed(content):
                    send((host, int(port)), content)
            except Exception as error:  # noqa: BLE001 - the test reports it
                failures.append(AssertionError(f"{error!r} for {content[:500]!r}"))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_serve_answers_or_closes_every_request(
    module_database: Database,
    at_size: Callable[[int, int], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    load(module_database, rollout_percentage=100)
    with serving_ofrep(module_database.url) as served:
        eventually(lambda: served.health()[0] == 200)
        lines: list[str] = []
        assert served.process.stderr is not None
        reading = iter(served.process.stderr.readline, "")
        drain = threading.Thread(target=lambda: lines.extend(reading))
        drain.start()
        observation = Observation("requests to serve", at_size(400, 100_000), served.process.pid)
        flood(served.url.removeprefix("http://"), observation)

        assert served.health() == (200, {"status": "ok"})
        said = observation.report()
        assert observation.growth_bytes < MOST_GROWTH_BYTES
        assert observation.longest_seconds < MOST_SECONDS
        served.process.terminate()
        served.process.wait(60)
        drain.join()

    with capsys.disabled():
        sys.stdout.write(f"\n{said}\n")
    assert_plain("".join(lines))


def test_watch_answers_or_closes_every_request(
    site: Site, at_size: Callable[[int, int], int], capsys: pytest.CaptureFixture[str]
) -> None:
    take_half_in(site)
    with watching(site) as start:
        watcher = start("--listen", "127.0.0.1:0")
        address = watcher.tells("started")["listen"]
        watcher.ticks_on()
        observation = Observation("requests to watch", at_size(400, 100_000), watcher.process.pid)
        flood(address, observation)

        assert watcher.get("/healthz")[0] == 200
        said = observation.report()
        assert observation.growth_bytes < MOST_GROWTH_BYTES
        assert observation.longest_seconds < MOST_SECONDS

    with capsys.disabled():
        sys.stdout.write(f"\n{said}\n")
    assert_plain(watcher.log)


def assert_plain(log: str) -> None:
    """The log has no traceback, and nothing that a terminal interprets."""
    assert not re.search("Traceback|Exception|cannot be answered", log), log
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", log), log
