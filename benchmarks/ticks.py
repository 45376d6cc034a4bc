"""A tick of the watch: its cost does not grow with the jobs, nor with the repositories.

The tick judges in one transaction, as the watch does. Work and floor each have a database on one server.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, LiteralString

import psycopg

from benchmarks.harness import Row, interleaved
from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.embedded import EmbeddedServer
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.operations.automatic_rollback import judge

MANY_JOBS: Final = 3_000_000
FEW_JOBS: Final = 3_000
MANY_REPOSITORIES: Final = 1_000_000
FEW_REPOSITORIES: Final = 1_000
FEATURES: Final = 20
ROUNDS: Final = 15

_REPOSITORIES: LiteralString = """
INSERT INTO repositories (owner, name, full_name)
SELECT 'owner-' || number %% 997, 'repository-' || number,
    'owner-' || number %% 997 || '/repository-' || number
FROM generate_series(1, %s) AS number
"""
_JOBS: LiteralString = """
INSERT INTO rollout_metrics (
    rollout_config_id, repository_id, processor_type, total_jobs, error_count,
    metrics_window_start, metrics_window_end, updated_at, category
)
SELECT
    configuration.id, repository.id, (ARRAY['github_actions', 'inngest'])[1 + series.number %% 2], 2,
    (series.number %% 100 = 0)::integer, bin.start, bin.start + interval '5 minutes',
    bin.start + interval '1 minute', 'small'
FROM generate_series(1, %(jobs)s) AS series (number)
CROSS JOIN rollout_configuration AS configuration
INNER JOIN (SELECT id, row_number() OVER () AS number FROM repositories) AS repository
    ON repository.number = series.number %% 1000 + 1
CROSS JOIN LATERAL (
    SELECT date_bin(
        '5 minutes', now() - interval '23 hours' * series.number / %(jobs)s, '2000-01-01 00:00:00+00'
    ) AS start
) AS bin
"""
LOAD_OLD_JOBS: LiteralString = """
INSERT INTO rollout_metrics (
    rollout_config_id, repository_id, processor_type, total_jobs, metrics_window_start,
    metrics_window_end, updated_at
)
SELECT
    configuration.id, (SELECT id FROM repositories LIMIT 1), 'github_actions', 50,
    now() - interval '3 hours', now() - interval '175 minutes', now() - interval '175 minutes'
FROM rollout_configuration AS configuration
"""
LOAD_FEATURES: LiteralString = """
INSERT INTO rollout_configuration (feature_name, rollout_percentage)
SELECT 'feature-' || number, 25 FROM generate_series(1, %s) AS number
"""


def run() -> Iterator[Row]:
    """Yield the rows of this table, measured on a separate embedded server."""
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedServer(Path(name) / "server")
        try:
            url = server.start()
            yield _row(
                f"a watch tick with {MANY_JOBS:,} rows of metrics in the window",
                f"the same tick with {FEW_JOBS:,}",
                _with_jobs(url, "many_jobs", MANY_JOBS),
                _with_jobs(url, "few_jobs", FEW_JOBS),
                most_ratio=1.5,
            )
            yield _row(
                f"a watch tick of {FEATURES} features without new jobs, {MANY_REPOSITORIES:,} repositories",
                f"the same tick with {FEW_REPOSITORIES:,}",
                _with_repositories(url, "many_repositories", MANY_REPOSITORIES),
                _with_repositories(url, "few_repositories", FEW_REPOSITORIES),
                most_ratio=2,
            )
        finally:
            server.stop()


def _row(
    work: str,
    floor: str,
    tick: Callable[[], object],
    floor_tick: Callable[[], object],
    *,
    most_ratio: float,
) -> Row:
    seconds, floor_seconds = interleaved(tick, floor_tick, rounds=ROUNDS)
    return Row(work, floor, seconds, floor_seconds, most_ratio)


def _with_jobs(url: str, name: str, jobs: int) -> Callable[[], object]:
    with _loading(url, name) as (database, connection):
        connection.execute(_REPOSITORIES, (1000,))
        connection.execute(LOAD_FEATURES, (1,))
        connection.execute(_JOBS, {"jobs": jobs})
        connection.execute("SELECT merge_rollout_rollup(1000000)")
    return lambda: tick(database)


def _with_repositories(url: str, name: str, repositories: int) -> Callable[[], object]:
    with _loading(url, name) as (database, connection):
        connection.execute(_REPOSITORIES, (repositories,))
        connection.execute(LOAD_FEATURES, (FEATURES,))
        connection.execute(LOAD_OLD_JOBS)
    return lambda: tick(database)


@contextmanager
def _loading(url: str, name: str) -> Iterator[tuple[Database, "psycopg.Connection"]]:
    with psycopg.connect(url, autocommit=True) as administration:
        administration.execute(f"CREATE DATABASE {name}".encode())
    database = Database.at(DatabaseAddress.parse(url.replace("/postgres?", f"/{name}?")))
    schema.upgrade(database.engine)
    with psycopg.connect(database.address.url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        yield database, connection
        connection.execute("VACUUM ANALYZE")


def tick(database: Database) -> None:
    """Judge every feature once, as the watch does."""
    with read_only_transaction(database) as connection:
        judged = list(judge(connection))
    assert judged, "no feature was judged"
