"""Rollbacks: from the commit of a failing job to the last answer "no", and a stop by command.

The watcher and the command are processes as people run them, with a remote for write-back. The
server is the embedded one with its usual, durable settings. Jobs fail at any moment of the
watcher's interval.
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from benchmarks.harness import Row
from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.embedded import EmbeddedServer
from reconciler.database.transactions import Database
from reconciler.operations import safeguard

REPOSITORIES: Final = 100_000
INTERVAL_SECONDS: Final = 1
ROUNDS: Final = 15
_POLL_SECONDS: Final = 0.005
_DEADLINE_SECONDS: Final = 60

_FILE: Final = (
    "version: 1\nfeatures:\n  capture:\n    percentage: 50\n"
    "    guards: {max_increase: 100}\n    health: {min_jobs: 20}\n"
)
_LOAD: LiteralString = """
INSERT INTO repositories (owner, name, full_name)
SELECT 'owner-' || number %% 997, 'repository-' || number,
    'owner-' || number %% 997 || '/repository-' || number
FROM generate_series(1, %s) AS number
"""
_FAIL: LiteralString = """
SELECT record_rollout_job('capture', id, 'github_actions', false)
FROM (SELECT id FROM repositories LIMIT 20) AS twenty
"""
_IS_ELIGIBLE: LiteralString = "SELECT is_repository_eligible_for_rollout(%s, 'capture')"
_IS_STOPPED: LiteralString = "SELECT emergency_stop FROM rollout_configuration"
_COUNT: LiteralString = "SELECT count(*) FROM eligible_repositories('capture')"
_SOMEBODY: LiteralString = "SELECT id FROM eligible_repositories('capture') AS found (id) LIMIT 1"
_PENDING: LiteralString = """
SELECT count(*) FROM rollout_override WHERE state IN ('on', 'off') AND written_back_at IS null
"""


def run() -> Iterator[Row]:
    """Yield the rows of this table, measured on a separate embedded server."""
    with tempfile.TemporaryDirectory() as name, _site(Path(name)) as site:
        with site.watching():
            yield _row(
                f"from a failing job's commit to no answer being yes, {REPOSITORIES:,} "
                f"repositories, `watch --interval {INTERVAL_SECONDS}`",
                [site.seconds_of_a_rollback() for _ in range(ROUNDS)],
                most_seconds=1.5,
            )
        yield _row(
            "`stop --no-write-back`, from the command's start to committed",
            [site.seconds_of_a_stop() for _ in range(ROUNDS)],
            most_seconds=1.0,
        )


def _row(work: str, seconds: list[float], *, most_seconds: float) -> Row:
    return Row(
        work,
        "-",
        statistics.median(seconds),
        most_seconds=most_seconds,
        note=f"the slowest of {len(seconds)} took {max(seconds):.2f} s",
    )


@dataclass(frozen=True, slots=True)
class _Site:
    """A rollout at 50 percent, and a connection that observes it."""

    folder: Path
    environment: Mapping[str, str]
    database: Database
    looking: "psycopg.Connection[Any]"

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Run a watcher until the block ends."""
        command = ("watch", "--interval", str(INTERVAL_SECONDS), "--quiet")
        with self._start(*command) as watcher:
            try:
                self._wait_until(
                    lambda: self._ask("SELECT count(*) FROM rollout_lease WHERE until > now()") == 1
                )
                yield
            finally:
                watcher.terminate()

    def seconds_of_a_rollback(self) -> float:
        """Let jobs fail at any moment between two ticks; return how long the answer stays yes."""
        somebody = self._ask(_SOMEBODY)
        time.sleep(random.uniform(0, INTERVAL_SECONDS))  # noqa: S311 - no secret
        with psycopg.connect(self.database.address.url) as worker:
            worker.execute(_FAIL)
            worker.commit()
            began = time.perf_counter()
        self._wait_until(lambda: not self._ask(_IS_ELIGIBLE, somebody))
        assert self._ask(_COUNT) == 0
        seconds = time.perf_counter() - began
        self._resume()
        return seconds

    def seconds_of_a_stop(self) -> float:
        """Stop the feature by command; return the time until the stop is committed."""
        began = time.perf_counter()
        with self._start("stop", "--no-write-back", "--yes", "--reason", "a benchmark") as process:
            self._wait_until(lambda: bool(self._ask(_IS_STOPPED)))
            seconds = time.perf_counter() - began
        assert process.returncode == 0
        safeguard.resume(self.database, "capture", by="a benchmark", reason="the next round")
        return seconds

    def _resume(self) -> None:
        """Start again, after git contained the override and then its removal."""
        self._wait_until(lambda: self._ask(_PENDING) == 0)
        safeguard.resume(self.database, "capture", by="a benchmark", reason="the next round")
        self._wait_until(lambda: self._ask(_PENDING) == 0)

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _ask(self, question: LiteralString, *parameters: object) -> Any:
        row = self.looking.execute(question, parameters or None).fetchone()
        return None if row is None else row[0]

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "it never came about"
            time.sleep(_POLL_SECONDS)


@contextmanager
def _site(parent: Path) -> Iterator[_Site]:
    """Make a repository with a remote and a database with many repositories; apply 50 percent."""
    folder = parent / "site"
    folder.mkdir()
    (folder / "rollout.yaml").write_text(_FILE)
    _git(parent, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _git(folder, "remote", "add", "origin", (parent / "origin.git").as_uri())
    _git(folder, "add", "rollout.yaml")
    _git(folder, "commit", "--quiet", "--message", "Take half in")
    _git(folder, "push", "--quiet", "--set-upstream", "origin", "main")
    server = EmbeddedServer(parent / "server")
    try:
        database = Database.at(DatabaseAddress.parse(server.start()))
        schema.upgrade(database.engine)
        with psycopg.connect(database.address.url, autocommit=True) as looking:
            looking.execute(_LOAD, (REPOSITORIES,))
            looking.execute("ANALYZE")
            environment = {"DATABASE_URL": database.address.url}
            site = _Site(folder, environment, database, looking)
            subprocess.run(
                [sys.executable, "-m", "reconciler", "--yes"],
                cwd=folder,
                env={**os.environ, **environment},
                check=True,
                capture_output=True,
            )
            yield site
    finally:
        server.stop()


def _git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)
