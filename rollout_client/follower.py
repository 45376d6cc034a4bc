"""Following the database in the background: immediately by notifications, otherwise by polling.

One thread keeps a connection that listens. It reads the features again at each notification and
each poll. Another thread reads everything as of one moment, with repositories, regularly and on
request; this may take seconds, and a stop must not wait for it. If the database is unreachable, the
threads retry with a growing backoff until the client is closed.
"""

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from math import inf
from typing import Final

import psycopg

from rollout_client.address import Address
from rollout_client.backoff import backoff_seconds, with_jitter
from rollout_client.connection import Connection, connect, in_a_line
from rollout_client.fork import abandon
from rollout_client.notifications import concerns, listen
from rollout_client.pace import ReadPace
from rollout_client.reads import Features, read_everything, read_features, read_loads
from rollout_client.running_jobs import RunningJobs
from rollout_client.store import Store
from rollout_client.targeting.environment import EnvironmentOverride
from rollout_client.threads import park

_LOG = logging.getLogger("reconciler.client")

FIRST_BACKOFF_SECONDS: Final = 0.1
LONGEST_BACKOFF_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.01
"""The pause between two looks at a flood of notifications, so that it does not take the processor."""
PING_EVERY_SECONDS: Final = 5.0
"""The interval at which a quiet connection is tested; it must answer within the same time."""
FEATURES_PATIENCE_SECONDS: Final = 10.0
_REPOSITORIES_PATIENCE_SECONDS: Final = 60.0
_SHORTEST_REST_SECONDS: Final = 0.1
REST_FOR_WORK: Final = 5
"""A full read takes at most this part of the time (1 of 5 means a fifth), at any number of requests."""
_REST_FOR_UNKNOWN_SECONDS: Final = 10.0
_JOIN_BEFORE_CUT_SECONDS: Final = 1.0


class Found(Enum):
    """The result of a full read."""

    NOTHING_MOVED = auto()
    """The repositories are unchanged."""
    NEW_PAGES = auto()
    """Repositories changed, and were read."""
    PAGES_TO_READ = auto()
    """Repositories changed, and will be read after a rest."""


@dataclass(frozen=True, slots=True)
class Rest:
    """The waiting times after a full read, in seconds."""

    seconds: float
    """Until the next full read."""
    pages_seconds: float
    """Until repositories are read again."""


def next_rest(found: Found, took: float, pages_seconds: float) -> Rest:
    """Return the rest after a full read that took this number of seconds.

    A change of features alone does not wait for the longer rest of repositories.

    Args:
        found: the result of the read.
        took: its duration, in seconds.
        pages_seconds: the remaining rest of repositories from the last read.
    """
    rest = max(_SHORTEST_REST_SECONDS, took * REST_FOR_WORK)
    match found:
        case Found.NOTHING_MOVED:
            return Rest(rest, pages_seconds)
        case Found.NEW_PAGES:
            return Rest(_SHORTEST_REST_SECONDS, rest)
        case Found.PAGES_TO_READ:
            return Rest(max(rest, pages_seconds), 0)


@dataclass(frozen=True, slots=True)
class Following:
    """The followed features, and the intervals; times are in seconds."""

    address: Address
    features: frozenset[str] | None
    """None means all."""
    poll_every: float
    """The interval of reading the features without notifications."""
    whole_every: float
    """The interval of full reads."""
    clock: Callable[[], float]
    running: RunningJobs
    """Gets the running jobs of other processes."""


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
        self._is_abandoned = False
        self._failures: dict[str, str] = {}
        self._connections: set[Connection] = set()

    @property
    def failure(self) -> str | None:
        """The reason why the database cannot be read, in a line; None while it can."""
        return next(iter(self._failures.copy().values()), None)

    def start(self) -> None:
        """Start both threads.

        Raises:
            RuntimeError: The system cannot start a thread now; neither runs.
        """
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError:
            self.stop(0)
            raise

    def stop(self, timeout: float) -> None:
        """Ask both threads to end, and wait for them for at most this number of seconds."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        self._whole_wanted.set()
        # Closing this end wakes a thread that waits at the other end.
        self._wake.close()
        self._join(min(deadline, time.monotonic() + _JOIN_BEFORE_CUT_SECONDS))
        for connection in self._connections.copy():
            # The thread waits for a server that does not answer.
            with suppress(psycopg.Error, OSError), _socket_of(connection) as cut:
                cut.shutdown(socket.SHUT_RDWR)
        self._join(deadline)

    def restart_after_fork(self) -> None:
        """In a forked child: leave the parent's connections without a message to the server."""
        self._is_abandoned = True
        self._stopping.set()
        for connection in self._connections:
            # A connection that was just lost has no socket any more.
            with suppress(psycopg.Error):
                abandon(connection.fileno())
        for end in (self._wake, self._woken):
            abandon(end.fileno())

    def want_unknown(self) -> None:
        """Request a full read soon, for a repository that may be new.

        It comes at least some seconds after the last one, because the name may belong to no
        repository.
        """
        age = self._following.clock() - self._store.current.state.whole_at
        if age > _REST_FOR_UNKNOWN_SECONDS:
            self._whole_wanted.set()

    def _join(self, deadline: float) -> None:
        for thread in self._threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _follow_features(self) -> None:
        with closing(self._woken):
            self._keep_trying(self._listen, self._sleep_or_wake)

    def _follow_repositories(self) -> None:
        self._keep_trying(self._read_everything_over_and_over, self._stopping.wait)

    def _keep_trying(self, work: Callable[[], None], wait: Callable[[float], object]) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                work()
            except Exception as error:  # noqa: BLE001 - to end here would be to stay stale for good
                was_well = threading.current_thread().name not in self._failures
                failures = 1 if was_well else failures + 1
                self._note_failure(in_a_line(error, self._following.address))
                self._refresh_environment()
                wait(
                    with_jitter(
                        backoff_seconds(
                            failures,
                            first_seconds=FIRST_BACKOFF_SECONDS,
                            longest_seconds=LONGEST_BACKOFF_SECONDS,
                        )
                    )
                )
        if self._is_abandoned:
            park()

    def _listen(self) -> None:
        following = self._following
        known: Features = {}
        pace = ReadPace()
        with self._connected(FEATURES_PATIENCE_SECONDS) as connection:
            self._ask_for_notifications(connection)
            while not self._stopping.is_set():
                self._refresh_environment()
                pace.began(time.monotonic())
                at = following.clock()
                with self._store.observer.reading("features"):
                    read = read_features(connection, following.features, known)
                    # First: a new rule with `spill` needs them.
                    following.running.set_others(
                        read_loads(connection, read, following.running.reporter)
                    )
                self._store.set_newest(read, at)
                self._note_success()
                known = read
                if self._store.current.state.widened_since_whole:
                    self._whole_wanted.set()
                self._wait_for_change(connection, pace)

    def _ask_for_notifications(self, connection: Connection) -> None:
        """Listen; if no notifications can arrive, rely on polling."""
        why_not = listen(connection, self._following.address)
        if why_not is not None:
            _LOG.warning(
                "%s: %s; changes are polled for every %g seconds",
                self._following.address.describe(),
                why_not,
                self._following.poll_every,
            )

    def _wait_for_change(self, connection: Connection, pace: ReadPace) -> None:
        """Return when the features are to be read: after notifications, at the next poll, or at the end."""
        poll = time.monotonic() + self._following.poll_every
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._stopping.is_set():
                for each in connection.notified():
                    if self._concerns(each.payload):
                        pace.heard(each.pid, time.monotonic())
                left = min(poll, pace.due) - time.monotonic()
                if left <= 0:
                    return
                if pace.due < inf:
                    self._sleep_or_wake(min(left, _LOOK_SECONDS))
                elif not selector.select(min(left, PING_EVERY_SECONDS)):
                    # A connection that is open on this side alone sends no notifications either.
                    connection.ping(PING_EVERY_SECONDS)
                    if left <= PING_EVERY_SECONDS:
                        return

    def _concerns(self, payload: str) -> bool:
        heard = concerns(payload, self._following.features, self._store.current.state.newest)
        if heard.everything:
            self._whole_wanted.set()
        return heard.features

    def _read_everything_over_and_over(self) -> None:
        """Read everything on request or when it is due, with a rest after each time."""
        following = self._following
        pages_at = time.monotonic()
        while not self._stopping.is_set():
            self._whole_wanted.clear()
            began, at = time.monotonic(), following.clock()
            found = self._read_everything(at, pages=began >= pages_at)
            now = time.monotonic()
            rest = next_rest(found, now - began, max(0.0, pages_at - now))
            pages_at = now + rest.pages_seconds
            self._stopping.wait(rest.seconds)
            if found is not Found.PAGES_TO_READ:
                self._wait_until_wanted_or_due(at + following.whole_every)

    def _read_everything(self, at: float, *, pages: bool) -> Found:
        state = self._store.current.state
        with (
            self._store.observer.reading("repositories"),
            self._connected(_REPOSITORIES_PATIENCE_SECONDS) as connection,
        ):
            read = read_everything(
                connection, self._following.features, state.newest, state.repositories, pages=pages
            )
        self._note_success()
        if read is None:
            return Found.PAGES_TO_READ
        self._store.set_whole(*read, at)
        return Found.NOTHING_MOVED if read[1] is state.repositories else Found.NEW_PAGES

    def _wait_until_wanted_or_due(self, due_at: float) -> None:
        """Return when a full read is requested, or due by the client's clock.

        The clock of a wait may stop while the machine sleeps, but data becomes stale then too. So
        the client's clock is read at each poll.
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
        if self._stopping.is_set():
            return
        if failure != self.failure:
            _LOG.warning("%s; answers are the last known ones, until they are stale", failure)
        self._failures[threading.current_thread().name] = failure

    def _note_success(self) -> None:
        if self._failures.pop(threading.current_thread().name, None) and self.failure is None:
            _LOG.info("%s: answers again", self._following.address.describe())


def _socket_of(connection: Connection) -> socket.socket:
    return socket.socket(fileno=os.dup(connection.fileno()))
