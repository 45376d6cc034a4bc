"""Adoption: how long a call of the service waits while `db upgrade` adopts its tables.

The server is the embedded one with its usual, durable settings. Callers ask for eligibility, change the
configuration and write metrics, each again and again on a connection of its own.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, LiteralString

import psycopg

from benchmarks.harness import Row, seconds_of
from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.connection import create_engine
from reconciler.database.embedded import EmbeddedServer

REPOSITORIES: Final = 400
ROUNDS: Final = 5
MOST_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.005

_SERVICE: LiteralString = """
CREATE TABLE repositories (
    id uuid PRIMARY KEY, owner text, name text, full_name text, stargazers_count integer
);
CREATE TABLE rollout_configuration (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), feature_name varchar(100) UNIQUE,
    rollout_percentage integer, is_active boolean DEFAULT true, emergency_stop boolean DEFAULT false,
    target_repositories text [] DEFAULT '{}', excluded_repositories text [] DEFAULT '{}',
    rollout_strategy varchar(50) DEFAULT 'percentage', updated_at timestamptz DEFAULT now()
);
CREATE TABLE repository_categories (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), repository_id uuid UNIQUE REFERENCES repositories (id),
    category varchar(50) NOT NULL, is_test_repository boolean DEFAULT false
);
CREATE TABLE rollout_metrics (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    rollout_config_id uuid REFERENCES rollout_configuration (id),
    repository_id uuid REFERENCES repositories (id), processor_type varchar(50) NOT NULL,
    success_count integer DEFAULT 0, error_count integer DEFAULT 0, total_jobs integer DEFAULT 0,
    metrics_window_start timestamptz DEFAULT now(), metrics_window_end timestamptz,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
);
CREATE TABLE rollout_history (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), rollout_config_id uuid, action varchar(50) NOT NULL,
    previous_percentage integer, new_percentage integer, created_at timestamptz DEFAULT now()
);
CREATE FUNCTION is_repository_eligible_for_rollout(
    repo_id uuid, feature_name varchar DEFAULT 'hybrid_progressive_capture'
) RETURNS boolean LANGUAGE plpgsql AS '
BEGIN
    RETURN (
        SELECT repo_id::text = ANY (target_repositories)
            OR abs(hashtext(repo_id::text) % 100) < rollout_percentage
        FROM rollout_configuration AS configuration WHERE configuration.feature_name = $2
    );
END';
INSERT INTO repositories
SELECT md5(n::text)::uuid, 'acme', 'r' || n, 'acme/r' || n, n FROM generate_series(1, 400) AS n;
INSERT INTO rollout_configuration (feature_name, rollout_percentage) VALUES ('capture', 10);
INSERT INTO repository_categories (repository_id, category) SELECT id, 'small' FROM repositories;
INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, success_count, total_jobs)
SELECT configuration.id, repositories.id, 'inngest', 1, 1
FROM rollout_configuration AS configuration, repositories;
"""
_CALLS: tuple[LiteralString, ...] = (
    "SELECT is_repository_eligible_for_rollout(md5('7')::uuid, 'capture')",
    "SELECT rollout_percentage FROM rollout_configuration WHERE feature_name = 'capture'",
    "UPDATE rollout_configuration SET updated_at = now() WHERE feature_name = 'capture'",
    "INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs)"
    " SELECT c.id, r.id, 'inngest', 1 FROM rollout_configuration AS c, repositories AS r"
    " WHERE r.name = 'r1'",
)


def run() -> Iterator[Row]:
    """Yield the row of this table, measured on a separate embedded server."""
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedServer(Path(name) / "server")
        try:
            url = server.start()
            waits = [_slowest_call(url, number) for number in range(ROUNDS)]
        finally:
            server.stop()
    slowest = [each for each, _ in waits]
    yield Row(
        "the slowest call of a service while `db upgrade` adopts its tables",
        "the whole upgrade",
        statistics.median(slowest),
        statistics.median(upgrade for _, upgrade in waits),
        most_seconds=MOST_SECONDS,
        note=f"{len(_CALLS)} callers, {REPOSITORIES} repositories; the slowest of {ROUNDS} rounds"
        f" took {max(slowest):.2f} s",
    )


def _slowest_call(url: str, number: int) -> tuple[float, float]:
    """Return how long the slowest call took, and the upgrade."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE service_{number}".encode())
    database = url.replace("/postgres?", f"/service_{number}?")
    with psycopg.connect(database) as connection:
        connection.execute(_SERVICE)
    done = threading.Event()

    def call(statement: LiteralString) -> float:
        slowest = 0.0
        with psycopg.connect(database, autocommit=True, prepare_threshold=None) as connection:
            while not done.wait(_PAUSE_SECONDS):
                begin = time.perf_counter()
                connection.execute(statement)
                slowest = max(slowest, time.perf_counter() - begin)
        return slowest

    with ThreadPoolExecutor(len(_CALLS)) as pool:
        calls = [pool.submit(call, each) for each in _CALLS]
        engine = create_engine(DatabaseAddress.parse(database))
        try:
            upgrade = seconds_of(lambda: schema.upgrade(engine))
        finally:
            done.set()
            engine.dispose()
        return max(each.result() for each in calls), upgrade
