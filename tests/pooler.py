"""A pgbouncer in transaction mode for a test's database, if the program is installed.

Each transaction gets any free one of a few server connections, as behind a pooler in production.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from reconciler.database.embedded.account import account_for
from tests.eventually import eventually
from tests.postgres import Database

PROGRAM = shutil.which("pgbouncer", path=f"{os.defpath}:/usr/sbin:{os.environ.get('PATH', '')}")
needs_pgbouncer = pytest.mark.skipif(
    PROGRAM is None, reason="there is no pgbouncer: apt-get install pgbouncer"
)


@contextmanager
def pooled(
    database: Database,
    *,
    connections: int = 3,
    users: tuple[str, ...] = ("postgres",),
    mode: str = "transaction",
) -> Iterator[Database]:
    """Yield the same database through a pooler with this many server connections; no password is needed."""
    assert PROGRAM is not None
    server = database.address.parameters
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    account = account_for(folder)
    (folder / "users").write_text("".join(f'"{user}" ""\n' for user in users))
    (folder / "settings").write_text(f"""
[databases]
* = host={server["host"]} port={server["port"]}
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = {connections}
max_client_conn = 200
server_login_retry = 1
""")
    account.give_tree(folder)
    process = subprocess.Popen(
        [PROGRAM, "--quiet", str(folder / "settings")],
        stderr=subprocess.PIPE,
        **account.process_options(),
    )
    behind = replace(
        database,
        url=f"postgresql://{users[0]}@/{server['dbname']}?host={folder}&port=6432",
    )
    try:
        eventually(lambda: process.poll() is not None or _answers(behind))
        assert process.poll() is None, process.communicate()
        yield behind
    finally:
        behind.engine.dispose()
        process.kill()
        process.communicate()
        shutil.rmtree(folder)


def _answers(database: Database) -> bool:
    try:
        database.value("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
