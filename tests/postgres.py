"""The one Postgres of a test run, and a database from its template for each test.

The first test that needs the server starts it, in any process. A watcher process stops it: the
run's first process holds a pipe to the watcher, which closes however that process ends (done,
interrupted or killed).
"""

import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy
from filelock import FileLock
from psycopg.rows import dict_row, tuple_row

from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.connection import create_engine
from reconciler.database.embedded import EmbeddedServer
from reconciler.database.transactions import Database as OpenedDatabase

PROJECT = Path(__file__).parent.parent
TEMPLATE = "template_rollout"
MEMORY = "/dev/shm"  # noqa: S108 - a folder of its own is made in it
ROOM_BYTES = 4 * 1024**3
SETTINGS_THAT_LOSE_DATA = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    # Databases are short-lived: background work on them is useless.
    "autovacuum": "off",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "1h",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class TestRun:
    """The folder that all processes of one test run share."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def begin(cls) -> tuple["TestRun", "subprocess.Popen[bytes]"]:
        """Start a new run and its watcher, which deletes the run when its input is closed."""
        folder = Path(tempfile.mkdtemp(prefix="rollout-tests-", dir=_quickest_folder()))
        watcher = subprocess.Popen(
            [
                "/bin/sh",
                "-c",
                'cat >/dev/null; exec "$0" -m tests.postgres "$1"',
                sys.executable,
                str(folder),
            ],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        return cls(folder), watcher

    def end(self) -> None:
        """Stop the server if a test started it, and delete its files."""
        self._server.stop()
        shutil.rmtree(self.folder)

    def url(self, database: str) -> str:
        """Return the URL of one of the server's databases; start the server if it is not running."""
        return self._server.start().replace("/postgres?", f"/{database}?")

    def disconnect(self) -> None:
        """Close this process's connection, if there is one."""
        if "administration" in vars(self):
            self.administration.close()

    @cached_property
    def administration(self) -> "psycopg.Connection[Any]":
        """Return this process's connection for creating and dropping databases."""
        return psycopg.connect(self.url("postgres"), autocommit=True)

    @contextmanager
    def database(self, *, template: str) -> Iterator["Database"]:
        """Yield a new database; it is dropped afterwards, with its open connections."""
        name = f"test_{uuid.uuid4().hex}"
        self.administration.execute(
            f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY".encode()
        )
        database = Database(self.url(name))
        try:
            yield database
        finally:
            database.engine.dispose()
            self.administration.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())

    def migrated_template(self) -> str:
        """Return the name of the template with the newest schema; it is made once in a run."""
        made = self.folder / "template-made"
        if not made.exists():
            with FileLock(self.folder / "template.lock"):
                if not made.exists():
                    self._make_template()
                    made.touch()
        return TEMPLATE

    def _make_template(self) -> None:
        self.administration.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}".encode())
        self.administration.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0".encode())
        engine = create_engine(DatabaseAddress.parse(self.url(TEMPLATE)))
        schema.upgrade(engine)
        engine.dispose()

    @property
    def _server(self) -> EmbeddedServer:
        return EmbeddedServer(self.folder / "server", SETTINGS_THAT_LOSE_DATA)


def _quickest_folder() -> str | None:
    """Return a folder in memory if there is enough memory, because files change very often; else None."""
    with suppress(OSError):
        if shutil.disk_usage(MEMORY).free >= ROOM_BYTES:
            return MEMORY
    return None


@dataclass(frozen=True)
class Database:
    """The database of one test."""

    url: str

    @property
    def address(self) -> DatabaseAddress:
        return DatabaseAddress.parse(self.url)

    @cached_property
    def engine(self) -> sqlalchemy.Engine:
        return create_engine(self.address)

    def opened(self) -> OpenedDatabase:
        """Return an engine for many uses: its connections and their caches are kept.

        The test must dispose of it.
        """
        engine = sqlalchemy.create_engine(
            "postgresql+psycopg://",
            creator=lambda: psycopg.connect(self.url, prepare_threshold=None),
            use_native_hstore=False,
        )
        return OpenedDatabase(self.address, engine)

    def connect(self, *, autocommit: bool = False) -> "psycopg.Connection[Any]":
        """Return a connection that the test closes: for locks and concurrent writers."""
        return psycopg.connect(self.url, autocommit=autocommit, row_factory=tuple_row)

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of a query; its parameters are written as `%(name)s`."""
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            return connection.execute(sql.encode(), parameters or None).fetchall()

    def value(self, sql: str, **parameters: Any) -> Any:
        """Return the one value of a query's one row."""
        (row,) = self.rows(sql, **parameters)
        (value,) = row.values()
        return value

    def execute(self, sql: str, **parameters: Any) -> None:
        """Run a statement (or, without parameters, several) and commit."""
        with psycopg.connect(self.url) as connection:
            connection.execute(sql.encode(), parameters or None)


if __name__ == "__main__":
    TestRun(Path(sys.argv[1])).end()
