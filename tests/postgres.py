"""The one Postgres of a test run, and a database a test from its template.

The first test that asks starts the server, in whichever process it runs; a watcher that the run's
first process holds by a pipe stops it, however that process ends: done, interrupted or killed.
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
    # Databases come and go: nothing is to be done for them in the background.
    "autovacuum": "off",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "1h",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class TestRun:
    """What all processes of one test run share, by a folder."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def begin(cls) -> tuple["TestRun", "subprocess.Popen[bytes]"]:
        """A new run and its watcher, which clears it away as soon as its input is closed."""
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
        """Stop the server, if any test asked for it, and leave nothing."""
        self._server.stop()
        shutil.rmtree(self.folder)

    def url(self, database: str) -> str:
        """The URL of one of the server's databases; the server is started where it doesn't run."""
        return self._server.start().replace("/postgres?", f"/{database}?")

    def disconnect(self) -> None:
        """Close this process's connection, if it made one."""
        if "administration" in vars(self):
            self.administration.close()

    @cached_property
    def administration(self) -> "psycopg.Connection[Any]":
        """This process's connection for making and dropping databases."""
        return psycopg.connect(self.url("postgres"), autocommit=True)

    @contextmanager
    def database(self, *, template: str) -> Iterator["Database"]:
        """A new database; it is dropped afterwards, with its open connections."""
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
        """The name of the template with the newest schema, made once a run."""
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
    """Memory, where there is enough: files come and go by the hundred thousand. None is the usual place."""
    with suppress(OSError):
        if shutil.disk_usage(MEMORY).free >= ROOM_BYTES:
            return MEMORY
    return None


@dataclass(frozen=True)
class Database:
    """One test's own database."""

    url: str

    @property
    def address(self) -> DatabaseAddress:
        return DatabaseAddress.parse(self.url)

    @cached_property
    def engine(self) -> sqlalchemy.Engine:
        return create_engine(self.address)

    def opened(self) -> OpenedDatabase:
        """For a test that works on it many times: its connections are kept, and what they have cached.

        To be disposed of by the test.
        """
        engine = sqlalchemy.create_engine(
            "postgresql+psycopg://",
            creator=lambda: psycopg.connect(self.url, prepare_threshold=None),
            use_native_hstore=False,
        )
        return OpenedDatabase(self.address, engine)

    def connect(self, *, autocommit: bool = False) -> "psycopg.Connection[Any]":
        """A connection of the test's own, to be closed by it: for locks and concurrent writers."""
        return psycopg.connect(self.url, autocommit=autocommit, row_factory=tuple_row)

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query whose parameters stand as `%(name)s`."""
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            return connection.execute(sql.encode(), parameters or None).fetchall()

    def value(self, sql: str, **parameters: Any) -> Any:
        """The one value of a query's one row."""
        (row,) = self.rows(sql, **parameters)
        (value,) = row.values()
        return value

    def execute(self, sql: str, **parameters: Any) -> None:
        """Run a statement (or, without parameters, several) and commit."""
        with psycopg.connect(self.url) as connection:
            connection.execute(sql.encode(), parameters or None)


if __name__ == "__main__":
    TestRun(Path(sys.argv[1])).end()
