"""A server that only speaks Postgres' protocol is refused by name, before any statement of the reconciler."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.server import has_synchronous_standby
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.database.transactions import read_only_transaction, write_transaction
from reconciler.errors import SetupInvalid
from tests.postgres import Database


def message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!I", len(content) + 4) + content


REPLICA_QUESTION = message(b"Q", b"SELECT pg_catalog.pg_is_in_recovery()\0")
"""What libpq asks a server that does not report whether it is a replica."""
NO = (
    message(b"T", b"\0\1pg_is_in_recovery\0" + struct.pack("!IHIhIH", 0, 0, 16, 1, 0xFFFFFFFF, 0))
    + message(b"D", b"\0\1" + struct.pack("!I", 1) + b"f")
    + message(b"C", b"SELECT 1\0")
    + message(b"Z", b"I")
)


@contextmanager
def server(**parameters: str) -> Iterator[DatabaseAddress]:
    """Yield the address of a server that accepts a sign-in, and reports these parameters."""

    def sign_in() -> None:
        wire, _ = listener.accept()
        with wire:
            (length,) = struct.unpack("!I", wire.recv(4))
            wire.recv(length - 4)
            wire.sendall(
                message(b"R", bytes(4))
                + b"".join(
                    message(b"S", f"{name}\0{value}\0".encode())
                    for name, value in parameters.items()
                )
                + message(b"Z", b"I")
            )
            while sent := wire.recv(1_000):
                if sent == REPLICA_QUESTION:
                    wire.sendall(NO)
                else:
                    statements.append(sent)

    statements: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=sign_in)
        thread.start()
        port = listener.getsockname()[1]
        yield DatabaseAddress.parse(
            f"postgresql://app@127.0.0.1:{port}/app?sslmode=disable&gssencmode=disable"
        )
        thread.join()
    # Nothing was sent but the end of the connection.
    assert b"".join(statements) in (b"", message(b"X", b""))


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"server_version": "13.0.0", "crdb_version": "CockroachDB CCL v24.1.0"}, "CockroachDB"),
        ({"server_version": "15.2-YB-2025.1.0.1-b0"}, "YugabyteDB"),
    ],
)
def test_a_server_that_is_not_postgres_is_refused(parameters: dict[str, str], name: str) -> None:
    with (
        server(**parameters) as address,
        pytest.raises(SetupInvalid, match=f"{name}, where LISTEN .* use Postgres 14 or newer"),
    ):
        schema.upgrade(OpenedDatabase.at(address).engine)


def test_a_server_alone_has_one_copy(database: Database) -> None:
    with read_only_transaction(OpenedDatabase.at(database.address)) as connection:
        assert not has_synchronous_standby(connection)


@pytest.mark.parametrize(
    ("default", "durability"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")]
)
def test_a_write_is_durable_where_the_default_is_weaker(
    database: Database, default: str, durability: str
) -> None:
    weak = Database(f"{database.url}&options=-c%20synchronous_commit%3D{default}")
    found = write_transaction(
        OpenedDatabase.at(weak.address),
        lambda each: each.execute("SHOW synchronous_commit").scalar(),
    )
    assert found == durability
