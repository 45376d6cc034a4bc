"""Commands beside the least that they must do: imports, bytes read, digests computed.

Work and floor are processes, so that both pay for their imports. The floor has the same database. The sizes
are those of `Sizes`: the small ones take less than two minutes.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

from benchmarks.eligibility import LOAD_REPOSITORIES, blast_radius_of
from benchmarks.floor_programs import (
    FLOOR_OF_A_LIST,
    FLOOR_OF_A_PLAN,
    FLOOR_OF_AN_APPLY,
    HISTORY,
    IMPORTS,
    IMPORTS_OF_A_STOP,
    METRICS,
    OCTODNS,
)
from benchmarks.harness import Row, interleaved, seconds_of
from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.connection import create_engine
from reconciler.database.embedded import EmbeddedServer

FEATURES: Final = 20
LOADED: Final = "loaded"
"""The database that is copied."""
LENGTH_BESIDE_OCTODNS: Final = 10_000
"""A shorter plan is mostly imports, on both sides."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a run measures."""

    repositories: int
    lists: tuple[int, ...]
    metrics: int
    history: int
    rounds: int
    grown: int
    """The repositories of the second database; its time is compared with the growth."""


FULL: Final = Sizes(1_000_000, (10_000, 100_000), 3_000_000, 1_000_000, 3, 10_000_000)
QUICK: Final = Sizes(20_000, (2_000,), 20_000, 20_000, 3, 60_000)


def run(sizes: Sizes = FULL) -> Iterator[Row]:
    """Yield the rows of this table, measured on a separate embedded server."""
    with tempfile.TemporaryDirectory() as name, _site(Path(name), sizes) as site:
        yield from site.lists()
        yield site.plan()
        with site.copy() as used:
            yield from used.commands()
            yield used.stop()
        yield site.growth()


@dataclass(frozen=True, slots=True)
class _Site:
    """A folder with a rollout file, and a database with many repositories."""

    folder: Path
    url: str
    sizes: Sizes

    @contextmanager
    def copy(self) -> Iterator["_Site"]:
        """Yield a site with a copy of the database, so that nothing stays of what is measured there."""
        name = f"copy_{uuid4().hex}"
        with psycopg.connect(_at(self.url, "postgres"), autocommit=True) as connection:
            connection.execute(
                f"CREATE DATABASE {name} TEMPLATE {LOADED} STRATEGY file_copy".encode()
            )
            yield replace(self, url=_at(self.url, name))
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def lists(self) -> Iterator[Row]:
        """Measure whitelists: the dry run, and the first apply."""
        for length in self.sizes.lists:
            with psycopg.connect(self.url) as connection:
                names = connection.execute(
                    "SELECT full_name FROM repositories ORDER BY id LIMIT %s", (length,)
                ).fetchall()
            entries = "".join(f"      - {name}\n" for (name,) in names)
            self.write(f"{_features(25)}  listed:\n    whitelist:\n{entries}")
            yield self._row(
                f"dry run of a new {length:,}-entry whitelist",
                "imports, `yaml.load` with the C loader, names copied and joined",
                self.reconcile("--dry-run"),
                self.python(FLOOR_OF_A_LIST),
                1.5,
                regression=3,
            )
            if length == LENGTH_BESIDE_OCTODNS:
                yield self._beside_octodns(length)
            seconds, floors = [], []
            # The first round is to warm up.
            for _ in range(self.sizes.rounds + 1):
                with self.copy() as new:
                    floors.append(seconds_of(new.python(FLOOR_OF_AN_APPLY)))
                    seconds.append(seconds_of(new.reconcile("--yes")))
            yield Row(
                f"first apply of a {length:,}-entry whitelist",
                "the same, and an insert of as many keys",
                statistics.median(seconds[1:]),
                statistics.median(floors[1:]),
                2,
                regression_ratio=5,
            )

    def _beside_octodns(self, length: int) -> Row:
        """Measure the dry run beside octoDNS, which plans as many records of one zone."""
        folder = self.folder / "zones"
        for name in ("source", "target"):
            (folder / name).mkdir(parents=True)
        (folder / "config.yaml").write_text(OCTODNS)
        records = "".join(
            f"record-{number:07}:\n  type: A\n  value: 192.0.2.1\n" for number in range(length)
        )
        (folder / "source" / "example.com.yaml").write_text(f"---\n{records}")
        (folder / "target" / "example.com.yaml").write_text("---\n{}\n")
        return self._row(
            f"dry run of a new {length:,}-entry whitelist",
            f"octoDNS, a plan of {length:,} records from YAML to YAML",
            self.reconcile("--dry-run"),
            self._process("-m", "octodns.cmds.sync", "--config-file", str(folder / "config.yaml")),
            0.25,
            regression=0.6,
        )

    def plan(self) -> Row:
        """Measure a plan that changes the percentage of every feature."""
        self.write(_features(50))
        return self._row(
            f"`reconcile --dry-run` of {FEATURES} features, all changed, {self._repositories}",
            f"imports and {FEATURES} scans that compute `sha256`",
            self.reconcile("--dry-run"),
            self.python(FLOOR_OF_A_PLAN),
            2,
        )

    def commands(self) -> Iterator[Row]:
        """Measure commands that read, with jobs and history."""
        self.write(_features(25))
        self.reconcile("--yes")()
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SET synchronous_commit = off")
            connection.execute(METRICS, {"rows": self.sizes.metrics})
            connection.execute("SELECT merge_rollout_rollup(10000000)")
            connection.execute(HISTORY, {"rows": self.sizes.history})
            connection.execute("VACUUM ANALYZE")
            name = connection.execute("SELECT full_name FROM repositories LIMIT 1").fetchone()
        assert name is not None
        for arguments, most in (
            (("status",), 2),
            (("health",), 2),
            (("explain", str(name[0]), "--feature", "feature_1"), 2),
            (("history",), 2),
            (("stats", "--feature", "feature_1"), 5),
        ):
            yield self._command(arguments, most)
        self.reconcile("stop", "--feature", "feature_1", "--reason", "x", "--no-write-back")()
        # It exits with 2 or 3 where a check fails or waits; its time is the same.
        yield self._command(("verify", "--feature", "feature_1"), 5)
        self.reconcile("resume", "--feature", "feature_1", "--reason", "x", "--no-write-back")()

    def stop(self) -> Row:
        """Measure a stop as a whole process; a resume between two of them is not measured."""
        seconds, floors = [], []
        options = ("--feature", "feature_2", "--reason", "x", "--no-write-back", "--yes")
        # The first round is to warm up.
        for _ in range(self.sizes.rounds + 1):
            floors.append(seconds_of(self.python(IMPORTS_OF_A_STOP)))
            seconds.append(self._seconds_to_stop(options))
            self.reconcile("resume", *options)()
        return Row(
            "`stop`, from its start to committed",
            f"`{IMPORTS_OF_A_STOP}`",
            statistics.median(seconds[1:]),
            statistics.median(floors[1:]),
            1.5,
        )

    def growth(self) -> Row:
        """Measure the blast radius in two databases, one of which has more repositories."""
        few, many = self.sizes.repositories, self.sizes.grown
        seconds, few_seconds = interleaved(
            self._blast_radius("many", many),
            self._blast_radius("few", few),
            rounds=self.sizes.rounds,
        )
        return Row(
            f"blast radius of 25 → 50 percent of {many:,} repositories",
            f"the same of {few:,}, times {many // few}",
            seconds,
            few_seconds * many / few,
            1.1,
        )

    def _blast_radius(self, name: str, repositories: int) -> Callable[[], object]:
        url = _create(self.url, name)
        engine = create_engine(DatabaseAddress.parse(url))
        schema.upgrade(engine)
        with psycopg.connect(url, autocommit=True) as connection:
            _load(connection, repositories)

        def measure() -> None:
            with engine.connect() as connection:
                blast_radius_of(connection, "capture")

        return measure

    def _seconds_to_stop(self, options: tuple[str, ...]) -> float:
        """Return the time until the commit of a stop, which notifies."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("LISTEN rollout_changed")
            processes: list[subprocess.Popen[bytes]] = []

            def stop() -> None:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "reconciler", "stop", *options],
                        cwd=self.folder,
                        env=self._environment,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                )
                notified = list(connection.notifies(timeout=60, stop_after=1))
                assert notified, "the stop failed"

            seconds = seconds_of(stop)
            processes[0].wait()
            return seconds

    def _command(self, arguments: tuple[str, ...], most: float) -> Row:
        load = f"{FEATURES} features, {self._repositories}, {self.sizes.metrics:,} rows of metrics"
        return self._row(
            f"`{arguments[0]}`, {load}, {self.sizes.history:,} of history",
            f"`{IMPORTS}`",
            self.reconcile(*arguments),
            self.python(IMPORTS),
            most,
        )

    def _row(
        self,
        work: str,
        floor: str,
        run_work: Callable[[], object],
        run_floor: Callable[[], object],
        most: float,
        *,
        regression: float | None = None,
    ) -> Row:
        seconds, floor_seconds = interleaved(run_work, run_floor, rounds=self.sizes.rounds)
        return Row(work, floor, seconds, floor_seconds, most, regression_ratio=regression)

    @property
    def _repositories(self) -> str:
        return f"{self.sizes.repositories:,} repositories"

    @property
    def _environment(self) -> dict[str, str]:
        """The environment of work and floor: both have their bytecode, as an installed program has."""
        environment = {**os.environ, "DATABASE_URL": self.url}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = str(self.folder.parent / "bytecode")
        return environment

    def write(self, features: str) -> None:
        """Write the rollout file."""
        (self.folder / "rollout.yaml").write_text(f"version: 1\nfeatures:\n{features}")

    def reconcile(self, *arguments: str) -> Callable[[], object]:
        """Return a run of the program as a process."""
        return self._process("-m", "reconciler", *arguments)

    def python(self, code: str) -> Callable[[], object]:
        """Return a run of code as a process."""
        return self._process("-c", code)

    def _process(self, *arguments: str) -> Callable[[], object]:
        def run() -> object:
            done = subprocess.run(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
            )
            # 2 and 3 are the answers of checks.
            if done.returncode not in (0, 2, 3):
                sys.exit(f"{arguments[:4]}: {done.stderr}")
            return done

        return run


def _features(percentage: int) -> str:
    return "".join(
        f"  feature_{number}:\n    percentage: {percentage}\n    guards: {{max_increase: 100}}\n"
        for number in range(1, FEATURES + 1)
    )


def _at(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _create(url: str, database: str) -> str:
    """Create a database on this server, and return its address."""
    with psycopg.connect(_at(url, "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}".encode())
    return _at(url, database)


def _load(connection: "psycopg.Connection", repositories: int) -> None:
    connection.execute("SET synchronous_commit = off")
    connection.execute(LOAD_REPOSITORIES.replace(":repositories", str(repositories)).encode())
    connection.execute("VACUUM ANALYZE")


@contextmanager
def _site(parent: Path, sizes: Sizes) -> Iterator[_Site]:
    server = EmbeddedServer(parent / "server")
    folder = parent / "site"
    folder.mkdir()
    try:
        url = _create(server.start(), LOADED)
        engine = create_engine(DatabaseAddress.parse(url))
        schema.upgrade(engine)
        engine.dispose()
        with psycopg.connect(url, autocommit=True) as connection:
            _load(connection, sizes.repositories)
            connection.execute("SELECT categorize_all_repositories()")
            connection.execute("VACUUM ANALYZE")
        site = _Site(folder, url, sizes)
        site.write(_features(25))
        site.reconcile("--yes")()
        yield site
    finally:
        server.stop()
