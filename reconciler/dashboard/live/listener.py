"""The one thread of a process that notices changes of the database.

It listens on one connection, and looks at a fingerprint of what pages show every few seconds: so it also
notices changes where no notification arrives, such as behind a pooler.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Final

import psycopg

from reconciler.dashboard.live.changes import Changes, Mode
from reconciler.database.now import read_fingerprint
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.errors import ReconcilerError
from rollout_client.backoff import backoff_seconds, with_jitter
from rollout_client.connection import connect
from rollout_client.notifications import listen

if TYPE_CHECKING:
    from rollout_client.connection import Connection

APPLICATION_NAME: Final = "reconcile-dashboard"
POLL_SECONDS: Final = 5.0
BEAT_SECONDS: Final = 3.0
_PATIENCE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.5
_LONGEST_BACKOFF_SECONDS: Final = 5.0
_LOG = logging.getLogger("reconciler.dashboard")


@dataclass(frozen=True, slots=True)
class _ListeningAddress:
    """The database's address, for the connection that listens."""

    database: Database

    @property
    def parameters(self) -> Mapping[str, str]:
        return {**self.database.address.parameters, "application_name": APPLICATION_NAME}

    def describe(self) -> str:
        return self.database.address.describe()

    def without_secrets(self, text: str) -> str:
        return self.database.address.without_secrets(text)


class Listener:
    """Notes changes until it ends; it starts with the first stream."""

    def __init__(self, database: Database) -> None:
        self.changes = Changes()
        self._database = database
        self._address = _ListeningAddress(database)
        self._fingerprint: str | None = None
        self._ended = Event()
        self._lock = Lock()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Start the thread if it does not run."""
        with self._lock:
            if self._thread is None and not self._ended.is_set():
                self._thread = Thread(target=self._run, name="listener", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """End the streams, and the thread within a moment."""
        self._ended.set()
        self.changes.end()

    def _run(self) -> None:
        failures = 0
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                with closing(connect(self._address, patience=_PATIENCE_SECONDS)) as connection:
                    problem = _listen_or_explain(connection, self._address)
                    if problem is None:
                        self._listen(connection)
                if problem is not None:
                    self._poll()
            except (psycopg.Error, ReconcilerError) as error:
                _LOG.info("the listening connection was lost: %s", type(error).__name__)
            failures = 1 if time.monotonic() - began > _LONGEST_BACKOFF_SECONDS else failures + 1
            pause = backoff_seconds(
                failures, first_seconds=0.5, longest_seconds=_LONGEST_BACKOFF_SECONDS
            )
            self._ended.wait(with_jitter(pause))

    def _listen(self, connection: "Connection") -> None:
        self._look(Mode.LISTENING)
        look_at = time.monotonic() + BEAT_SECONDS
        while not self._ended.is_set():
            for _ in connection.notifies(timeout=_LOOK_SECONDS, stop_after=1):
                self.changes.note(Mode.LISTENING, is_changed=True)
            if time.monotonic() >= look_at:
                connection.ping(_PATIENCE_SECONDS)
                self._look(Mode.LISTENING)
                look_at = time.monotonic() + BEAT_SECONDS

    def _poll(self) -> None:
        while not self._ended.is_set():
            self._look(Mode.POLLING)
            self._ended.wait(POLL_SECONDS)

    def _look(self, mode: Mode) -> None:
        with read_only_transaction(self._database) as connection:
            fingerprint = read_fingerprint(connection)
        is_changed = fingerprint != self._fingerprint
        self._fingerprint = fingerprint
        self.changes.note(mode, is_changed=is_changed)


def _listen_or_explain(connection: "Connection", address: _ListeningAddress) -> str | None:
    try:
        return listen(connection, address)
    except psycopg.errors.ReadOnlySqlTransaction:
        return "a replica accepts no LISTEN"
