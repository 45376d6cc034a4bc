"""Reporting jobs: sixteen connections at once, all for one repository, which has been categorized.

The server is the embedded one with its usual, durable settings. The floor is the cheapest statement
whose runs wait for each other on one row in the same way.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from benchmarks.harness import Row, interleaved
from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.connection import create_engine
from reconciler.database.embedded import EmbeddedServer

CONNECTIONS: Final = 16
JOBS_EACH: Final = 100
ROUNDS: Final = 9

_LOAD: LiteralString = """
INSERT INTO repositories (id, owner, name, full_name)
VALUES ('6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11', 'acme', 'tools', 'acme/tools');
INSERT INTO rollout_configuration (feature_name) VALUES ('capture');
SELECT categorize_all_repositories();
CREATE TABLE counter (id integer PRIMARY KEY, n bigint NOT NULL);
INSERT INTO counter VALUES (1, 0);
"""
_RECORD: LiteralString = """
SELECT record_rollout_job(
    'capture', '6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11', 'inngest', true, 1.5
)
"""
_COUNT_UP: LiteralString = "UPDATE counter SET n = n + 1 WHERE id = 1"


def run() -> Iterator[Row]:
    """Yield the row of this table, measured on a separate embedded server."""
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedServer(Path(name) / "server")
        try:
            yield _reporting(server.start())
        finally:
            server.stop()


def _reporting(url: str) -> Row:
    engine = create_engine(DatabaseAddress.parse(url))
    schema.upgrade(engine)
    engine.dispose()
    with ExitStack() as stack:
        connections = [
            stack.enter_context(psycopg.connect(url, autocommit=True)) for _ in range(CONNECTIONS)
        ]
        first = connections[0]
        first.execute(_LOAD)
        pool = stack.enter_context(ThreadPoolExecutor(CONNECTIONS))
        work, floor = interleaved(
            _at_once(pool, connections, _RECORD),
            _at_once(pool, connections, _COUNT_UP),
            rounds=ROUNDS,
        )
        first.execute("SELECT merge_rollout_rollup(1000000)")
        row = first.execute("SELECT sum(total_jobs) FROM rollout_metrics").fetchone()
    statements = CONNECTIONS * JOBS_EACH
    assert row == ((ROUNDS + 1) * statements,), f"jobs were lost: {row} were counted"
    return Row(
        f"`record_rollout_job` from {CONNECTIONS} connections, all on one repository, no job lost",
        "`UPDATE … SET n = n + 1` of one row from as many",
        work / statements,
        floor / statements,
        0.5,
        regression_ratio=1.0,
        note=f"{floor / work:.2f} times the rate; at least 2",
    )


def _at_once(
    pool: ThreadPoolExecutor,
    connections: Sequence["psycopg.Connection[Any]"],
    statement: LiteralString,
) -> Callable[[], object]:
    """Return many concurrent runs of a statement on every connection."""
    return lambda: list(pool.map(partial(_repeat, statement=statement), connections))


def _repeat(connection: "psycopg.Connection[Any]", statement: LiteralString) -> None:
    for _ in range(JOBS_EACH):
        connection.execute(statement)
