"""How the cost of large work grows from one to three and to ten million repositories.

Each size has a database of its own on one server. Work and floor run alternately, and the floor is the
same work with a million repositories, times the growth.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import psycopg

from benchmarks.eligibility import LOAD_REPOSITORIES, blast_radius_of
from benchmarks.harness import Row, interleaved
from benchmarks.ticks import FEATURES, LOAD_FEATURES, LOAD_OLD_JOBS, tick
from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.embedded import EmbeddedServer
from reconciler.database.transactions import Database

SIZES: Final = (1_000_000, 3_000_000, 10_000_000)
ROUNDS: Final = 3
_ELIGIBLE: Final = "SELECT count(*) FROM eligible_repositories('feature-1')"


@dataclass(frozen=True, slots=True)
class _Site:
    """A database with some millions of repositories and 20 features."""

    database: Database
    repositories: int

    def count_eligible(self) -> None:
        """Count the repositories that get a feature by percentage."""
        with psycopg.connect(self.database.address.url) as connection:
            connection.execute(_ELIGIBLE)

    def measure_blast_radius(self) -> None:
        """Compare two percentages of a feature over all repositories."""
        with self.database.engine.connect() as connection:
            blast_radius_of(connection, "feature-1")

    def load_client(self) -> tuple[float, float]:
        """Load a client in a process of its own; return its seconds and the megabytes of the process."""
        command = [sys.executable, "-m", "benchmarks.client", "memory", self.database.address.url]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        return float(said[0]), float(said[2])

    def tick(self) -> None:
        """Judge every feature once, as the watch does."""
        tick(self.database)


def run() -> Iterator[Row]:
    """Yield the rows of this table, measured on a separate embedded server."""
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedServer(Path(name) / "server")
        try:
            url = server.start()
            few, *more = (_load(url, each) for each in SIZES)
            for each in more:
                yield _linear("eligible set by percentage", _Site.count_eligible, each, few)
            for each in more:
                yield _linear(
                    "blast radius of 25 → 50 percent", _Site.measure_blast_radius, each, few
                )
            for each in more:
                yield _client(each, few)
            for each in more:
                seconds, floor = interleaved(each.tick, few.tick, rounds=5 * ROUNDS)
                work = f"a watch tick of {FEATURES} features, {each.repositories:,} repositories"
                yield Row(work, f"the same tick with {few.repositories:,}", seconds, floor, 1.5)
        finally:
            server.stop()


def _linear(name: str, work: Callable[[_Site], object], many: _Site, few: _Site) -> Row:
    seconds, floor = interleaved(lambda: work(many), lambda: work(few), rounds=ROUNDS)
    return _row(name, many, few, seconds, floor)


def _client(many: _Site, few: _Site) -> Row:
    pairs = [(many.load_client(), few.load_client()) for _ in range(ROUNDS)]
    seconds = median(large[0] for large, _ in pairs)
    floor = median(small[0] for _, small in pairs)
    note = f"the process has {pairs[-1][0][1]:,.0f} MB"
    return _row("a client's load by percentage", many, few, seconds, floor, note=note)


def _row(
    name: str, many: _Site, few: _Site, seconds: float, floor: float, *, note: str = ""
) -> Row:
    growth = many.repositories // few.repositories
    return Row(
        f"{name} of {many.repositories:,} repositories",
        f"the same of {few.repositories:,}, times {growth}",
        seconds,
        floor * growth,
        1.1,
        note=note,
    )


def _load(server: str, repositories: int) -> _Site:
    name = f"repositories_{repositories}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    database = Database.at(DatabaseAddress.parse(server.replace("/postgres?", f"/{name}?")))
    schema.upgrade(database.engine)
    with psycopg.connect(database.address.url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(LOAD_REPOSITORIES.replace(":repositories", str(repositories)).encode())
        connection.execute(LOAD_FEATURES, (FEATURES,))
        connection.execute(LOAD_OLD_JOBS)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return _Site(database, repositories)
