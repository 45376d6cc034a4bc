"""A Postgres of the distribution, in an older release than the embedded one and with its extensions.

It runs in a folder of its own, under an account that is not root, as long as its context.
"""

import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from reconciler.database.embedded.account import account_for
from tests.eventually import eventually
from tests.postgres import SETTINGS_THAT_LOSE_DATA, Database

RELEASE: Final = 15
PROGRAMS: Final = Path(f"/usr/lib/postgresql/{RELEASE}/bin")
needs_distribution_server = pytest.mark.skipif(
    not (PROGRAMS / "postgres").exists(), reason=f"apt-get install postgresql-{RELEASE}"
)


@dataclass(frozen=True)
class Server:
    """A running server, whose databases are made and dropped by tests."""

    url: str

    @contextmanager
    def database(self, *, template: str = "template0") -> Iterator[Database]:
        """A new database; it is dropped afterwards, with its open connections."""
        name = f"test_{uuid.uuid4().hex}"
        with self._administration() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        database = Database(self.url.replace("/postgres?", f"/{name}?"))
        try:
            yield database
        finally:
            database.engine.dispose()
            with self._administration() as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            self._administration().close()
        except psycopg.OperationalError:
            return False
        return True

    def _administration(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self.url, autocommit=True)


@contextmanager
def distribution_server() -> Iterator[Server]:
    """Run the server in a new folder; stop it afterwards and leave nothing."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    account = account_for(folder)
    account.give(folder)
    options: dict[str, Any] = {"cwd": "/", "env": {"LC_ALL": "C"}, **account.process_options()}
    data = folder / "data"
    process = None
    try:
        subprocess.run(
            [PROGRAMS / "initdb", f"--pgdata={data}", "--username=postgres", "--encoding=UTF8",
             "--locale=C", "--auth=trust", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, **options,
        )  # fmt: skip
        settings = {
            **SETTINGS_THAT_LOSE_DATA,
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
        }
        process = subprocess.Popen(
            [PROGRAMS / "postgres", "-D", data,
             *(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))],
            stderr=subprocess.DEVNULL, **options,
        )  # fmt: skip
        server = Server(f"postgresql://postgres@/postgres?host={folder}&port=5432")
        eventually(server.answers)
        yield server
    finally:
        if process is not None:
            process.terminate()
            process.wait(timeout=60)
        shutil.rmtree(folder)
