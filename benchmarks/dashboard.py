"""The dashboard: *Now*, its open streams, and the way of a change to a tab.

Work and floor of a page go through the same stack: Starlette, a thread, SQLAlchemy and psycopg.
"""

import asyncio
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString
from unittest.mock import patch

import httpx
import psycopg
from anyio import to_thread
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import reconciler.dashboard
from benchmarks.harness import Row, interleaved, seconds_of
from reconciler.dashboard.application import Dashboard, make_application
from reconciler.dashboard.live.listener import APPLICATION_NAME
from reconciler.dashboard.sign_in.gate import LocalSignIn
from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.driver import DriverConnection, Rows
from reconciler.database.embedded import EmbeddedServer
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.operations.eligible_counts import count_and_keep

REPOSITORIES: Final = 1_000_000
FEATURES: Final = 100
STREAMS: Final = 200
REST_SECONDS: Final = 10
CHANGES: Final = 100
ROUNDS: Final = 15
MOST_QUERIES: Final = 12
MOST_KILOBYTES: Final = 100
MOST_SCRIPT_KILOBYTES: Final = 60

_REPOSITORIES: LiteralString = """
INSERT INTO repositories (owner, name, full_name)
SELECT 'owner-' || number %% 997, 'repository-' || number,
    'owner-' || number %% 997 || '/repository-' || number
FROM generate_series(1, %s) AS number
"""
_FEATURES: LiteralString = """
INSERT INTO rollout_configuration (feature_name, rollout_percentage, health_method)
SELECT 'hybrid_progressive_capture_' || number, 25, 'evidence' FROM generate_series(1, %s) AS number
"""
_JOBS: LiteralString = """
INSERT INTO rollout_metrics (
    rollout_config_id, repository_id, processor_type, total_jobs, error_count,
    metrics_window_start, metrics_window_end, updated_at, category
)
SELECT
    configuration.id, repository.id, (ARRAY['github_actions', 'inngest'])[1 + series.number % 2],
    1 + series.number * 7919 % 40, (series.number % 17 = 0)::integer,
    bin.start, bin.start + interval '5 minutes', bin.start + interval '1 minute', 'small'
FROM generate_series(1, 400) AS series (number)
CROSS JOIN rollout_configuration AS configuration
INNER JOIN (
    SELECT id, row_number() OVER () AS number FROM (SELECT id FROM repositories LIMIT 1000) AS chosen
) AS repository ON repository.number = series.number * 13 % 1000 + 1
CROSS JOIN LATERAL (
    SELECT date_bin(
        '5 minutes', now() - interval '23 hours' * series.number / 400, '2000-01-01 00:00:00+00'
    ) AS start
) AS bin
"""
_STOP: LiteralString = """
UPDATE rollout_configuration SET emergency_stop = %s
WHERE feature_name = 'hybrid_progressive_capture_1'
"""
_CONNECTIONS: LiteralString = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"


def run() -> Iterator[Row]:
    """Yield the rows of this table, measured on a separate embedded server."""
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedServer(Path(name) / "server")
        try:
            url = server.start()
            _fill(url)
            yield _page(url)
            with _dashboard(url, Path(name)) as (address, process):
                yield _streams(url, address, process)
                if shutil.which("chromium") is not None:
                    yield _changes(url, address)
        finally:
            server.stop()


def _fill(url: str) -> None:
    schema.upgrade(Database.at(DatabaseAddress.parse(url)).engine)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(_REPOSITORIES, (REPOSITORIES,))
        connection.execute(_FEATURES, (FEATURES,))
        connection.execute(_JOBS)
        connection.execute("SELECT merge_rollout_rollup(1000000)")
        connection.execute("VACUUM ANALYZE")


def _page(url: str) -> Row:
    database = Database.at(DatabaseAddress.parse(url))
    now = _asking(make_application(Dashboard(database, LocalSignIn("ada"))))
    floor = _asking(_floor(database))
    count_and_keep(database, lambda: None)
    assert "not counted yet" not in now().text
    statements: list[str] = []

    execute = DriverConnection.execute

    def note(connection: DriverConnection, statement: str, *parameters: Any) -> Rows:
        if "SELECT" in statement:
            statements.append(statement)
        return execute(connection, statement, *parameters)

    with patch.object(DriverConnection, "execute", note):
        kilobytes = len(now().content) / 1000
    queries = len(statements)
    static = Path(reconciler.dashboard.__file__).parent / "static"
    scripts = sum(each.stat().st_size for each in static.glob("*.js")) / 1000
    seconds, floor_seconds = interleaved(now, floor, rounds=ROUNDS)
    assert 0 < queries <= MOST_QUERIES, statements
    assert kilobytes <= MOST_KILOBYTES, kilobytes
    assert scripts <= MOST_SCRIPT_KILOBYTES, scripts
    return Row(
        f"*Now* with {FEATURES} features and {REPOSITORIES:,} repositories",
        "a page with `SELECT 1`, by the same stack",
        seconds,
        floor_seconds,
        most_seconds=0.3,
        note=f"{queries} queries, at most {MOST_QUERIES}; {kilobytes:.0f} KB without compression, "
        f"at most {MOST_KILOBYTES}; {scripts:.1f} KB of script, at most {MOST_SCRIPT_KILOBYTES}",
    )


def _floor(database: Database) -> Starlette:
    def read() -> Response:
        with read_only_transaction(database) as connection:
            return PlainTextResponse(str(connection.execute("SELECT 1").scalar()))

    async def answer(_request: object) -> Response:
        return await to_thread.run_sync(read)

    return Starlette(routes=[Route("/", answer)])


def _asking(application: Starlette) -> Callable[[], httpx.Response]:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return (await client.get("/")).raise_for_status()

    return lambda: asyncio.run(ask())


@contextmanager
def _dashboard(url: str, folder: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "dashboard", "--listen", "127.0.0.1:0"],
        cwd=folder,
        env={**os.environ, "DATABASE_URL": url},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        lines = (re.fullmatch(r"serving (http://\S+)/\n", line) for line in process.stderr)
        address = next((found[1] for found in lines if found is not None), None)
        assert address is not None, "the dashboard ended before it served"
        yield address, process
    finally:
        process.kill()
        process.communicate()


def _streams(url: str, address: str, process: "subprocess.Popen[str]") -> Row:
    host = httpx.URL(address)
    with ExitStack() as stack:
        one = stack.enter_context(_stream(host))
        floor_seconds = _seconds_at_rest(process.pid)
        others = [stack.enter_context(_stream(host)) for _ in range(STREAMS - 1)]
        seconds = _seconds_at_rest(process.pid)
        with psycopg.connect(url) as connection:
            found = connection.execute(_CONNECTIONS, (APPLICATION_NAME,)).fetchone()
        assert found == (1,), found
        assert len([one, *others]) == STREAMS
    return Row(
        f"processor time of {REST_SECONDS} s at rest, {STREAMS} streams",
        "the same with one stream",
        seconds,
        floor_seconds,
        note=f"1 connection listens; {100 * seconds / REST_SECONDS:.1f} percent of a processor",
    )


def _stream(host: httpx.URL) -> socket.socket:
    stream = socket.create_connection((host.host, host.port or 80), timeout=60)
    stream.sendall(f"GET /live HTTP/1.1\r\nHost: {host.host}\r\n\r\n".encode())
    received = b""
    while b"data: " not in received:
        received += stream.recv(65_536)
    return stream


def _seconds_at_rest(process: int) -> float:
    before = _processor_seconds(process)
    time.sleep(REST_SECONDS)
    return max(_processor_seconds(process) - before, 1 / os.sysconf("SC_CLK_TCK"))


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _changes(url: str, address: str) -> Row:
    """Measure from the commit of a stop, or of its end, until a tab shows it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, psycopg.connect(url, autocommit=True) as connection:
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        page.get_by_text("Live, as of").wait_for()
        row = page.locator("tr", has=page.get_by_role("link", name="hybrid_progressive_capture_1"))
        taken = []
        for number in range(CHANGES):
            is_stopped = number % 2 == 0
            connection.execute(_STOP, (is_stopped,))
            shown = row.get_by_text("■ stopped" if is_stopped else "● active").first
            taken.append(seconds_of(lambda shown=shown: shown.wait_for()))  # type: ignore[misc]
        browser.close()
    taken.sort()
    return Row(
        "from the commit of a stop until a tab of Chromium shows it: 99 of 100",
        "-",
        taken[int(0.99 * CHANGES) - 1],
        most_seconds=1,
        note=f"median {1e3 * statistics.median(taken):.0f} ms, longest {taken[-1]:.2f} s of {CHANGES}; "
        f"the page has {FEATURES} features",
    )
