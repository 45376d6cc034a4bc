"""psql as a child of `reconcile db psql`: it gets Ctrl-C, and the password by a file."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reconciler.database.address import DatabaseAddress


def run_psql(program: Path, address: DatabaseAddress, arguments: Sequence[str]) -> int:
    """Run psql on a database until it ends, and return its exit code."""
    command = [str(program), "--dbname", address.url_without_secrets, *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    with _ctrl_c_for_psql():
        if address.password is None:
            return subprocess.run(command, env=environment, check=False).returncode
        with _password_file(address.password) as password_file:
            environment["PGPASSFILE"] = password_file
            return subprocess.run(command, env=environment, check=False).returncode


@contextmanager
def _ctrl_c_for_psql() -> Iterator[None]:
    """Keep Ctrl-C for psql, where it cancels a query."""
    # psql would inherit an ignored signal, but not a handler.
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _password_file(password: str) -> Iterator[str]:
    """Yield a file with the password for libpq, since a process list shows arguments."""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="reconcile-") as file:
        file.write(f"*:*:*:*:{escaped}\n")
        file.flush()
        yield file.name
