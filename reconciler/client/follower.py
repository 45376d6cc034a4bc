"""Following the database in the background: at once where it notifies, by polling where it can't.

One thread keeps a connection that listens, and reads the features again with each notification and each
poll. Another reads everything as of one moment, repositories included, now and then and when it is asked
to; it may take seconds, and a stop must not wait for it. A database that is gone is tried again, with
growing pauses, for as long as the client lives.
"""

import json
import logging
import os
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

import psycopg

from reconciler.client.connection import Connection, connect, in_a_line
from reconciler.client.reads import Features, needs_categories, read_everything, read_features
from reconciler.client.store import Store
from reconciler.database.address import DatabaseAddress
from reconciler.targeting.environment import EnvironmentOverride

_LOG = logging.getLogger("reconciler.client")

_LISTEN = b"LISTEN rollout_changed"
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_FEATURES_PATIENCE_SECONDS = 10.0
_REPOSITORIES_PATIENCE_SECONDS = 60.0
_SHORTEST_REST_SECONDS = 0.1
_REST_FOR_WORK = 5
"""Reading everything takes at most one part in so many of the time, whoever asks for it how often."""
_REST_FOR_UNKNOWN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Following:
    """What is followed, and how often; times in seconds."""

    address: DatabaseAddress
    features: frozenset[str] | None
    """None is all."""
    poll_every: float
    """Features are read again so often where no notification says so."""
    whole_every: float
    """As often everything is."""
    clock: Callable[[], float]


class Follower:
    """Two threads that keep a store up to date, from `start` to `stop`."""

    def __init__(self, following: Following, store: Store) -> None:
        self._following = following
        self._store = store
        self._stopping = threading.Event()
        self._whole_wanted = threading.Event()
        self._wake, self._woken = socket.socketpair()
        self._threads = [
            threading.Thread(target=target, name=f"rollout-{name}", daemon=True)
            for name, target in (
                ("features", self._follow_features),
                ("repositories", self._follow_repositories),
            )
        ]
        self._failures: dict[str, str] = {}
        self._connections: set[Connection] = set()

    @property
    def failure(self) -> str | None:
        """What keeps the database from being read, in a line; None while all is well."""
        return next(iter(self._failures.copy().values()), None)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> None:
        """Ask both threads to end, and wait for them for so many seconds."""
        self._stopping.set()
        self._whole_wanted.set()
        # Closed at this end, it wakes whoever waits at the other.
        self._wake.close()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def begin_again(self) -> None:
        """In a forked child: let go of what is the parent's, without a word to its server."""
        for connection in self._connections:
            # One that was lost just now has no socket any more.
            with suppress(psycopg.Error):
                os.close(connection.fileno())
        self._wake.close()
        self._woken.close()

    def want_unknown(self) -> None:
        """Have everything read again soon: somebody asked for a repository that may be new.

        Not sooner than some seconds after the last time, since it may as well be nobody's.
        """
        age = self._following.clock() - self._store.current.state.whole_at
        if age > _REST_FOR_UNKNOWN_SECONDS:
            self._whole_wanted.set()

    def _follow_features(self) -> None:
        with closing(self._woken):
            self._keep_trying(self._listen, self._sleep_or_wake)

    def _follow_repositories(self) -> None:
        self._keep_trying(self._read_everything_over_and_over, self._stopping.wait)

    def _keep_trying(self, work: Callable[[], None], pause: Callable[[float], object]) -> None:
        longest = _FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                work()
            except Exception as error:  # noqa: BLE001 - to end here would be to stay stale for good
                was_well = threading.current_thread().name not in self._failures
                longest = (
                    _FIRST_PAUSE_SECONDS if was_well else min(_LONGEST_PAUSE_SECONDS, longest * 2)
                )
                self._note_failure(in_a_line(error, self._following.address))
                self._refresh_environment()
                pause(random.uniform(longest / 2, longest))  # noqa: S311 - no secret

    def _listen(self) -> None:
        following = self._following
        known: Features = {}
        with self._connected(_FEATURES_PATIENCE_SECONDS) as connection:
            self._ask_for_notifications(connection)
            while not self._stopping.is_set():
                self._refresh_environment()
                at = following.clock()
                read = read_features(connection, following.features, known)
                self._store.set_newest(read, at)
                self._note_success()
                known = read
                if self._store.current.state.widened_since_whole:
                    self._whole_wanted.set()
                self._wait_for_change(connection)

    def _ask_for_notifications(self, connection: Connection) -> None:
        """Listen; where the server or a pooler before it refuses, polling has to do."""
        try:
            connection.execute(_LISTEN)
        except psycopg.Error as error:
            if connection.closed or error.sqlstate is None:
                raise
            _LOG.warning("%s; changes are polled for", in_a_line(error, self._following.address))

    def _wait_for_change(self, connection: Connection) -> None:
        """Return when a change that concerns the features is notified, at the next poll, or to end."""
        deadline = time.monotonic() + self._following.poll_every
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._stopping.is_set():
                heard = [self._concerns(each.payload) for each in connection.notifies(timeout=0)]
                if any(heard) or not selector.select(max(0.0, deadline - time.monotonic())):
                    return

    def _concerns(self, payload: str) -> bool:
        """Tell whether the features are to be read again; anybody may have sent anything."""
        try:
            said = json.loads(payload)
        except (ValueError, RecursionError):
            return True
        if not isinstance(said, dict):
            return True
        if said.get("table") in ("repository_categories", "category_threshold"):
            if needs_categories(self._store.current.state.newest):
                self._whole_wanted.set()
            return False
        feature, followed = said.get("feature"), self._following.features
        return followed is None or not isinstance(feature, str) or feature in followed

    def _read_everything_over_and_over(self) -> None:
        """Look what moved after a rest, and where repositories did, read them after one of its own.

        So a change of features alone need not wait until pages, which take longer, may be read again.
        """
        following = self._following
        pages_at = time.monotonic()
        while not self._stopping.is_set():
            self._whole_wanted.clear()
            began, at = time.monotonic(), following.clock()
            state = self._store.current.state
            with self._connected(_REPOSITORIES_PATIENCE_SECONDS) as connection:
                read = read_everything(
                    connection,
                    following.features,
                    state.newest,
                    state.repositories,
                    pages=began >= pages_at,
                )
            self._note_success()
            now = time.monotonic()
            rested_at = now + max(_SHORTEST_REST_SECONDS, (now - began) * _REST_FOR_WORK)
            if read is None:
                self._stopping.wait(max(rested_at, pages_at) - now)
                continue
            self._store.set_whole(*read, at)
            if read[1] is not state.repositories:
                pages_at, rested_at = rested_at, now + _SHORTEST_REST_SECONDS
            self._stopping.wait(rested_at - now)
            self._wait_until_wanted_or_due(at + following.whole_every)

    def _wait_until_wanted_or_due(self, due_at: float) -> None:
        """Return when everything is asked for, or is due by the client's clock.

        A wait's own clock may stand still while the machine sleeps, and knowledge ages then too; so the
        clock that tells its age is looked at with each poll.
        """
        while self._following.clock() < due_at:
            if self._whole_wanted.wait(self._following.poll_every):
                return

    @contextmanager
    def _connected(self, patience: float) -> Iterator[Connection]:
        with closing(connect(self._following.address, patience=patience)) as connection:
            self._connections.add(connection)
            try:
                yield connection
            finally:
                self._connections.discard(connection)

    def _sleep_or_wake(self, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            selector.select(seconds)

    def _refresh_environment(self) -> None:
        self._store.set_environment(EnvironmentOverride.parse(os.environ))

    def _note_failure(self, failure: str) -> None:
        if failure != self.failure:
            _LOG.warning("%s; answers are the last known ones, until they are stale", failure)
        self._failures[threading.current_thread().name] = failure

    def _note_success(self) -> None:
        if self._failures.pop(threading.current_thread().name, None) and self.failure is None:
            _LOG.info("%s: answers again", self._following.address.describe())
