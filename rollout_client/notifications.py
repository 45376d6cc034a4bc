"""Notifications of changes: listening, and reading their content.

A pooler that gives each transaction another connection sends notifications to any of its clients. A
test notification on a separate channel detects this before the client listens for changes: a LISTEN
on a shared connection would stay there.
"""

import json
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from secrets import token_hex
from typing import Final

import psycopg

from rollout_client.address import Address
from rollout_client.connection import Connection, connect
from rollout_client.reads import Features, needs_categories

LISTEN: Final = b"LISTEN rollout_changed"
_PATIENCE_SECONDS: Final = 5.0
_ARRIVAL_SECONDS: Final = 1.0
_TRIES_TO_UNLISTEN: Final = 20


@dataclass(frozen=True, slots=True)
class Heard:
    """What to read again after a notification."""

    features: bool
    everything: bool = False


def listen(connection: Connection, address: Address) -> str | None:
    """Listen for changes; return the reason why no notification would arrive, None if they arrive.

    Raises:
        psycopg.Error: The connection is lost.
    """
    try:
        if _is_behind_proxy(connection) and not _hears_itself(connection, address):
            return "a pooler gives each transaction another connection, so no notification comes"
        connection.execute(LISTEN)
    except psycopg.Error as error:
        if connection.closed or error.sqlstate is None:
            raise
        return " ".join(str(error).split())
    return None


def concerns(payload: str, followed: Collection[str] | None, features: Features) -> Heard:
    """Return what to read again after a notification; its payload may be anything.

    Args:
        payload: the received text.
        followed: the followed features; None means all.
        features: the known features.
    """
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return Heard(features=True)
    if not isinstance(said, dict):
        return Heard(features=True)
    if said.get("table") in ("repository_categories", "category_threshold"):
        return Heard(features=False, everything=needs_categories(features))
    feature = said.get("feature")
    return Heard(features=followed is None or not isinstance(feature, str) or feature in followed)


def _is_behind_proxy(connection: Connection) -> bool:
    """Return whether a proxy gave the connection a process id that the server does not have."""
    return _backend(connection) != connection.info.backend_pid


def _backend(connection: Connection) -> int:
    (row,) = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchall()
    return int(row[0])


def _hears_itself(connection: Connection, address: Address) -> bool:
    """Return whether a notification from another connection arrives while this one is idle."""
    channel = f"rollout_client_{token_hex(8)}"
    with connection.begun():
        connection.execute(f"LISTEN {channel}".encode())
        listening = _backend(connection)
    with closing(connect(address, patience=_PATIENCE_SECONDS)) as other:
        other.execute(f"NOTIFY {channel}".encode())
    heard = any(each.channel == channel for each in connection.notifies(timeout=_ARRIVAL_SECONDS))
    _unlisten(connection, channel, listening)
    return heard


def _unlisten(connection: Connection, channel: str, backend: int) -> None:
    """Undo the LISTEN on the server connection that received it."""
    for _ in range(_TRIES_TO_UNLISTEN):
        with connection.begun():
            connection.execute(f"UNLISTEN {channel}".encode())
            if _backend(connection) == backend:
                return
