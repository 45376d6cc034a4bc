"""The queue of outcomes: the unwritten outcomes of one process, and the thread that writes them.

An outcome stays in the queue until it is settled. It waits while the database is unreachable; a
full queue drops the newest outcomes. A signal handler may call `put`.
"""

import logging
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from typing import Final

import psycopg

from rollout_client.address import Address
from rollout_client.backoff import backoff_seconds, with_jitter
from rollout_client.batch import Batch, Writer, write_running
from rollout_client.connection import Connection, connect, in_a_line
from rollout_client.fork import abandon
from rollout_client.ledger import Ledger
from rollout_client.outcome import Outcome
from rollout_client.running_jobs import RunningJobs
from rollout_client.threads import Wake, start_thread

_LOG = logging.getLogger("reconciler.client")

BATCH_LENGTH: Final = 500
_GATHER_SECONDS: Final = 0.1
"""How long a batch waits for further outcomes."""
_PATIENCE_SECONDS: Final = 10.0
_FIRST_BACKOFF_SECONDS: Final = 0.1
_LONGEST_BACKOFF_SECONDS: Final = 2.0
_REPORT_EVERY_SECONDS: Final = 10.0
_QUEUE_FULL: Final = "the queue is full"
_CLOSED: Final = "the client is closed"


class OutcomeQueue:
    """The outcomes of one client in one process."""

    def __init__(
        self, address: Address, longest: int, ledger: Ledger, running: RunningJobs
    ) -> None:
        self.outcomes: deque[Outcome] = deque()
        self.dropped: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """Both by cause."""
        self.failure: str | None = None
        self.is_closing = False
        self._address = address
        self._longest = longest
        self._ledger = ledger
        self._running = running
        # Reentrant: a signal handler may interrupt the thread that holds it.
        self._lock = threading.RLock()
        self._has_own_locks = False
        self._make_locks()
        self._flushes: deque[Wake] = deque()
        self._is_running = False
        self.is_abandoned = False
        self._connection: Connection | None = None
        self._writer = Writer()
        self._batch: Batch | None = None
        self._reported: Counter[str] = Counter()
        self._report_at = 0.0
        self._is_warned_of_running = False

    def put(self, outcome: Outcome) -> bool:
        """Take an outcome to be written soon; return False if the queue is full or closed."""
        with self._lock:
            # The thread finds every outcome that is taken before the end is announced.
            if self.is_closing or len(self.outcomes) >= self._longest:
                self.dropped[_CLOSED if self.is_closing else _QUEUE_FULL] += 1
                self._wake.set()
                return False
            self.outcomes.append(outcome)
            self._ledger.set_waiting(len(self.outcomes))
        self._start()
        self._wake.set()
        return True

    def refuse(self, cause: str) -> None:
        """Count an outcome that cannot be recorded."""
        with self._lock:
            self.refused[cause] += 1
        self._start()
        self._wake.set()

    def report_running(self) -> None:
        """Write the starts and ends of jobs soon."""
        if not self.is_closing:
            self._start()
            self._wake.set()

    def flush(self, timeout: float) -> bool:
        """Write the waiting outcomes; return whether all were settled within this number of seconds."""
        if not self._has_work():
            return True
        if not self._start():
            return self._write_here(timeout)
        done = Wake()
        self._flushes.append(done)
        self._hurry.set()
        self._wake.set()
        return done.wait(timeout)

    def close(self, timeout: float) -> None:
        """Write the waiting outcomes, for at most this number of seconds; then drop the rest."""
        with self._lock:
            self.is_closing = True
        self._hurry.set()
        self._wake.set()
        if self._is_running:
            if self._ended.wait(timeout):
                self._ended.set()
        elif self._has_work():
            self._write_here(timeout)
        with self._lock:
            lost = len(self.outcomes)
            self.is_abandoned = True
            self.outcomes.clear()
            self._ledger.set_waiting(0)
            self.dropped[self.failure or "too little time"] += lost
        self._report(now=True)

    def abandon(self) -> None:
        """In a forked child: use nothing of the parent's."""
        self.is_abandoned = True
        connection, self._connection = self._connection, None
        if connection is not None:
            # A connection that was just lost has no socket any more.
            with suppress(psycopg.Error):
                abandon(connection.fileno())

    def _start(self) -> bool:
        """Start the thread if it does not run; return whether it runs now."""
        with self._lock:
            if not self._is_running:
                # Set before the start: a signal handler that interrupts this line starts no second
                # thread.
                self._is_running = True
                if not self._has_own_locks:
                    self._has_own_locks = True
                    self._make_locks()
                self._is_running = start_thread(self._run, "rollout-outcomes")
                if self._is_running:
                    self._log_lost()
            return self._is_running

    def _make_locks(self) -> None:
        """Make the objects on which threads wait, with gevent's classes if it patches after a fork."""
        self._writing = threading.Lock()
        self._wake, self._hurry, self._ended = Wake(), Wake(), Wake()

    def _run(self) -> None:
        failures = 0
        while not self.is_abandoned:
            if not self._has_work() and not self._flushes:
                if self.is_closing:
                    break
                self._report()
                self._wake.wait(_REPORT_EVERY_SECONDS if self._has_news() else None)
                if not self._has_work() and not self._flushes:
                    continue
            if not self._is_urgent():
                self._hurry.wait(_GATHER_SECONDS)
            if self._write_or_note_failure():
                failures = 0
            else:
                failures += 1
                self._hurry.wait(self._backoff(failures))
            self._report()
        self._disconnect()
        self._ended.set()

    def _log_lost(self) -> None:
        lost = self._ledger.lost()
        if lost:
            _LOG.error(
                "%d outcomes were not recorded because processes ended before they wrote them; "
                "call flush() where a process ends",
                lost,
            )

    def _is_urgent(self) -> bool:
        return self.is_closing or bool(self._flushes)

    def _has_work(self) -> bool:
        return bool(self.outcomes) or self._running.has_changes

    def _has_news(self) -> bool:
        return self.dropped + self.refused != self._reported

    def _backoff(self, failures: int) -> float:
        longest = _FIRST_BACKOFF_SECONDS if self._is_urgent() else _LONGEST_BACKOFF_SECONDS
        return with_jitter(
            backoff_seconds(failures, first_seconds=_FIRST_BACKOFF_SECONDS, longest_seconds=longest)
        )

    def _write_here(self, timeout: float) -> bool:
        """Write in the calling thread: at the end of a process the system starts no other thread."""
        deadline = time.monotonic() + timeout
        while not self._write_or_note_failure(deadline - time.monotonic()):
            if time.monotonic() + _FIRST_BACKOFF_SECONDS > deadline:
                return False
            time.sleep(_FIRST_BACKOFF_SECONDS)
        return not self._has_work()

    def _write_or_note_failure(self, patience: float = _PATIENCE_SECONDS) -> bool:
        if not self._writing.acquire(timeout=max(0.0, patience)):
            return False
        try:
            self._write_all(patience)
        except Exception as error:  # noqa: BLE001 - to end here would be to record nothing any more
            self._disconnect()
            failure = in_a_line(error, self._address)
            if failure != self.failure and not self.is_abandoned:
                _LOG.warning("%s; outcomes wait to be recorded", failure)
            self.failure = failure
            return False
        finally:
            self._writing.release()
        self.failure = None
        return True

    def _write_all(self, patience: float) -> None:
        """Write all waiting outcomes, and answer the callers that asked for it before."""
        asked = len(self._flushes)
        left = len(self.outcomes)
        while left > 0 and not self.is_abandoned:
            if self._batch is None:
                length = min(BATCH_LENGTH, left)
                self._batch = Batch(self._writer, [self.outcomes[index] for index in range(length)])
            self._batch.write(self._connected(patience))
            left -= self._batch.length
            self._settle(self._batch)
            self._batch = None
        if self._running.has_changes and not self.is_abandoned:
            self._write_running(self._connected(patience))
        for _ in range(asked):
            self._flushes.popleft().set()

    def _write_running(self, connection: Connection) -> None:
        """Write the starts and ends of jobs, if the database has given the right to do so."""
        try:
            write_running(connection, self._running, BATCH_LENGTH)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction) as error:
            if not self._is_warned_of_running:
                self._is_warned_of_running = True
                _LOG.warning("running jobs are not counted: %s", in_a_line(error, self._address))
            self._running.settle()

    def _settle(self, batch: Batch) -> None:
        with self._lock:
            for _ in range(min(batch.length, len(self.outcomes))):
                self.outcomes.popleft()
            self._ledger.set_waiting(len(self.outcomes))
            self.refused += batch.refused

    def _report(self, *, now: bool = False) -> None:
        """Log how many were lost since the last time, and why; at most once in a few seconds."""
        with self._lock:
            lost = self.dropped + self.refused
            news = lost - self._reported
            if not news or (time.monotonic() < self._report_at and not now):
                return
            self._reported = lost
            self._report_at = time.monotonic() + _REPORT_EVERY_SECONDS
        causes = "; ".join(
            f"{number} because {self._address.without_secrets(cause)}"
            for cause, number in news.most_common()
        )
        _LOG.error("%d outcomes were not recorded: %s", news.total(), causes)

    def _connected(self, patience: float) -> Connection:
        if self._connection is None:
            self._connection = connect(self._address, patience=patience)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()
