"""Eligibility with a million repositories: sets, single answers, categories and the blast radius.

The server is the embedded one with its usual, durable settings. The floors are the cheapest
statements that read the same bytes.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import UUID

import sqlalchemy
from sqlalchemy import Connection, text

from benchmarks.harness import Row, interleaved
from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.blast_radius import measure_blast_radius
from reconciler.database.connection import create_engine
from reconciler.database.embedded import EmbeddedServer
from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import Repository, Targeting, is_eligible
from rollout_client.targeting.strategy import Strategy

REPOSITORIES: Final = 1_000_000
ENTRIES: Final = 100_000
CALLS: Final = 2_000
DECISIONS: Final = 20_000
ROUNDS: Final = 9

LOAD_REPOSITORIES = """
INSERT INTO repositories (
    id, owner, name, full_name, stargazers_count, contributors_count, pull_requests_count
)
SELECT
    md5(number::text)::uuid,
    'owner-' || number % 50000,
    'repository-' || number,
    'owner-' || number % 50000 || '/repository-' || number,
    CASE number % 5
        WHEN 0 THEN 0 WHEN 1 THEN number % 50 WHEN 2 THEN number % 500 WHEN 3 THEN number % 5000
        ELSE number % 100000
    END,
    number % 3 + number % 5 * 8,
    number % 11 + number % 5 * 40
FROM generate_series(1, :repositories) AS number
"""
_LOAD_FEATURES = """
INSERT INTO rollout_configuration (feature_name, rollout_percentage, target_repositories)
VALUES ('short', 25, '{}'), (
    'long', 25, (
        SELECT array_agg(md5((number * 3)::text)::uuid::text)
        FROM generate_series(1, :entries) AS number
    )
)
"""
_HASH_ALL = "SELECT count(sha256(convert_to('short:' || id::text, 'UTF8'))) FROM repositories"
_JOIN_ALL = """
SELECT count(*) FROM repositories
INNER JOIN repository_categories ON repositories.id = repository_categories.repository_id
"""


def run() -> Iterator[Row]:
    """Yield the rows of this table, measured on a separate embedded server."""
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedServer(Path(name) / "server")
        engine = create_engine(DatabaseAddress.parse(server.start()))
        try:
            schema.upgrade(engine)
            yield from _in_sql(engine)
        finally:
            engine.dispose()
            server.stop()
    yield _decision()


def _in_sql(engine: sqlalchemy.Engine) -> Iterator[Row]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(LOAD_REPOSITORIES), {"repositories": REPOSITORIES})
        connection.execute(text(_LOAD_FEATURES), {"entries": ENTRIES})
        connection.execute(text("SELECT categorize_all_repositories()"))
        connection.execute(text("VACUUM ANALYZE"))
        hash_all = _statement(connection, _HASH_ALL)
        work, floor = interleaved(
            _statement(connection, "SELECT count(*) FROM eligible_repositories('short')"),
            hash_all,
            rounds=ROUNDS,
        )
        yield Row(
            "eligible set by percentage", "`count(*)` over `sha256` of every id", work, floor, 2
        )
        work, floor = interleaved(_blast_radius(connection), hash_all, rounds=ROUNDS)
        yield Row(
            "blast radius of 25 → 50 percent with a 100,000-entry whitelist",
            "the same",
            work,
            floor,
            3,
            regression_ratio=7,
        )
        work, floor = interleaved(
            _calls(connection, "long"), _calls(connection, "short"), rounds=ROUNDS
        )
        yield Row(
            "one `is_repository_eligible_for_rollout`, 100,000-entry whitelist",
            "the same call, empty whitelist",
            work / CALLS,
            floor / CALLS,
            1.5,
        )
        work, floor = interleaved(
            _statement(connection, "SELECT categorize_all_repositories()"),
            _statement(connection, _JOIN_ALL),
            rounds=ROUNDS,
        )
        yield Row(
            "`categorize_all_repositories`, nothing changed",
            "a bare join of the two tables",
            work,
            floor,
            2,
        )


def _statement(connection: Connection, sql: str) -> Callable[[], object]:
    def execute() -> object:
        return connection.execute(text(sql)).scalar()

    return execute


def _calls(connection: Connection, feature: str) -> Callable[[], object]:
    """Return a run of many calls in one session, each for another repository."""

    def execute() -> object:
        return connection.exec_driver_sql(
            f"DO $$ BEGIN FOR number IN 1..{CALLS} LOOP"
            " PERFORM is_repository_eligible_for_rollout("
            f"md5((number * 17)::text)::uuid, '{feature}');"
            " END LOOP; END $$"
        )

    return execute


def _blast_radius(connection: Connection) -> Callable[[], object]:
    keys = connection.execute(
        text("SELECT unnest(target_repositories) FROM rollout_configuration")
    ).scalars()
    whitelist = frozenset(keys)
    return lambda: blast_radius_of(connection, "long", whitelist)


def blast_radius_of(
    connection: Connection, feature: str, whitelist: frozenset[str] = frozenset()
) -> object:
    """Measure the blast radius of 25 → 50 percent."""
    live = Targeting(
        active=True,
        emergency_stop=False,
        strategy=Strategy.PERCENTAGE,
        percentage=Decimal(25),
        salt=feature,
        whitelist=whitelist,
    )
    return measure_blast_radius(connection, feature, live, replace(live, percentage=Decimal(50)))


def _decision() -> Row:
    """Measure decisions over repositories without an earlier decision."""
    targeting = Targeting(
        active=True,
        emergency_stop=False,
        strategy=Strategy.PERCENTAGE,
        percentage=Decimal(25),
        salt="hybrid_progressive_capture",
        whitelist=frozenset({"microsoft/vscode", "my-company/*"}),
        exclusions=frozenset({"legacy-org/monolith"}),
    )
    ids = [
        [str(UUID(int=batch * DECISIONS + number)) for number in range(DECISIONS)]
        for batch in range(2 * (ROUNDS + 1))
    ]
    decide_batches = [
        [Repository(each, f"owner/{each[:8]}", Category.SMALL) for each in batch]
        for batch in ids[::2]
    ]
    hash_batches = [[f"{targeting.salt}:{each}".encode() for each in batch] for batch in ids[1::2]]

    def decide() -> None:
        for repository in decide_batches.pop():
            is_eligible("hybrid_progressive_capture", targeting, repository)

    def hash_bytes() -> None:
        for hashed in hash_batches.pop():
            hashlib.sha256(hashed).digest()

    work, floor = interleaved(decide, hash_bytes, rounds=ROUNDS)
    return Row(
        "one decision in Python, cold",
        "one `hashlib.sha256` of the same bytes",
        work / DECISIONS,
        floor / DECISIONS,
        3,
    )
