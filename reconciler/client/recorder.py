"""Recording outcomes in the background: in batches, each once, without the caller waiting.

What is not written yet waits in a queue with an end. While the database is gone it waits; a full queue
drops the newest outcomes, and logs how many. `put` may be called by a signal handler.
"""

import atexit
import logging
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from typing import Final
from weakref import WeakSet

import psycopg

from reconciler.backoff import backoff_seconds, with_jitter
from reconciler.client.batch import Batch
from reconciler.client.connection import Connection, connect, in_a_line
from reconciler.client.fork import abandon
from reconciler.client.outcome import Outcome
from reconciler.client.threads import Wake, start_thread
from reconciler.database.address import DatabaseAddress

_LOG = logging.getLogger("reconciler.client")

QUEUE_LENGTH: Final = 10_000
BATCH_LENGTH: Final = 500
EXIT_TIMEOUT_SECONDS: Final = 5.0
"""How long the end of a process waits for what is not written yet."""
_GATHER_SECONDS: Final = 0.1
"""How long a batch waits for further outcomes."""
_PATIENCE_SECONDS: Final = 10.0
_FIRST_BACKOFF_SECONDS: Final = 0.1
_LONGEST_BACKOFF_SECONDS: Final = 2.0
_REPORT_EVERY_SECONDS: Final = 10.0
_QUEUE_FULL: Final = "the queue is full"
_CLOSED: Final = "the client is closed"
_NAME_UNKNOWN: Final = "no repository of this name is known"


class Recorder:
    """The outcomes of a client that are not written yet, and the thread that writes them.

    The thread starts with the first outcome. A forked child has a queue of its own: what waited in its
    parent is the parent's to write.
    """

    def __init__(self, address: DatabaseAddress, queue_length: int) -> None:
        self._address = address
        self._queue_length = queue_length
        self._queue = _Queue(address)

    @property
    def waiting(self) -> int:
        """How many are not written yet."""
        return len(self._queue.outcomes)

    @property
    def dropped(self) -> int:
        """Outcomes lost to a full queue, or at the end to a database that did not answer."""
        return self._queue.dropped.total()

    @property
    def refused(self) -> int:
        """Outcomes that the database does not take, such as those of a feature that is gone."""
        return self._queue.refused.total()

    @property
    def failure(self) -> str | None:
        """What keeps outcomes from being written, in a line."""
        return self._queue.failure

    def put(self, outcome: Outcome) -> bool:
        """Take an outcome to be written soon; return False where the queue is full or closed."""
        return self._queue.put(outcome, self._queue_length)

    def refuse(self) -> bool:
        """Count an outcome of a repository that is not known by its name; return False, as `put` does."""
        self._queue.refuse(_NAME_UNKNOWN)
        return False

    def flush(self, timeout: float) -> bool:
        """Write what waits now; return whether all of it was settled within so many seconds."""
        return self._queue.flush(timeout)

    def close(self, timeout: float) -> None:
        """Write what waits, for at most so many seconds; what cannot be written then is dropped."""
        self._queue.close(timeout)

    def restart_after_fork(self) -> None:
        """In a forked child: begin with an empty queue, and leave connection and thread to the parent."""
        is_closed = self._queue.is_closing
        self._queue.abandon()
        self._queue = _Queue(self._address)
        self._queue.is_closing = is_closed


class _Queue:
    """The outcomes of one process. An outcome stays in it until it is settled."""

    def __init__(self, address: DatabaseAddress) -> None:
        self.outcomes: deque[Outcome] = deque()
        self.dropped: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """Both by cause."""
        self.failure: str | None = None
        self.is_closing = False
        self._address = address
        # Reentrant: a signal handler may interrupt the thread that holds it.
        self._lock = threading.RLock()
        self._writing = threading.Lock()
        self._wake, self._hurry, self._ended = Wake(), Wake(), Wake()
        self._flushes: deque[Wake] = deque()
        self._is_running = False
        self.is_abandoned = False
        self._connection: Connection | None = None
        self._batch: Batch | None = None
        self._reported: Counter[str] = Counter()
        self._report_at = 0.0

    def put(self, outcome: Outcome, longest: int) -> bool:
        with self._lock:
            # What is taken before the end is announced is there for the thread to find.
            if self.is_closing or len(self.outcomes) >= longest:
                self.dropped[_CLOSED if self.is_closing else _QUEUE_FULL] += 1
                self._wake.set()
                return False
            self.outcomes.append(outcome)
        self._start()
        self._wake.set()
        return True

    def refuse(self, cause: str) -> None:
        with self._lock:
            self.refused[cause] += 1
        self._start()
        self._wake.set()

    def flush(self, timeout: float) -> bool:
        if not self.outcomes:
            return True
        if not self._start():
            return self._write_here(timeout)
        done = Wake()
        self._flushes.append(done)
        self._hurry.set()
        self._wake.set()
        return done.wait(timeout)

    def close(self, timeout: float) -> None:
        with self._lock:
            self.is_closing = True
        self._hurry.set()
        self._wake.set()
        if self._is_running:
            if self._ended.wait(timeout):
                self._ended.set()
        elif self.outcomes:
            self._write_here(timeout)
        with self._lock:
            lost = len(self.outcomes)
            self.is_abandoned = True
            self.outcomes.clear()
            self.dropped[self.failure or "too little time"] += lost
        self._report(now=True)

    def abandon(self) -> None:
        """In a forked child: touch nothing that the parent uses."""
        self.is_abandoned = True
        connection, self._connection = self._connection, None
        if connection is not None:
            # One that was just lost has no socket any more.
            with suppress(psycopg.Error):
                abandon(connection.fileno())

    def _start(self) -> bool:
        """Start the thread where it does not run; return whether it does now."""
        with self._lock:
            if not self._is_running:
                # Before it starts: a signal handler that interrupts this line starts no second one.
                self._is_running = True
                self._is_running = start_thread(self._run, "rollout-outcomes")
                _QUEUES.add(self)
            return self._is_running

    def _run(self) -> None:
        failures = 0
        while not self.is_abandoned:
            if not self.outcomes and not self._flushes:
                if self.is_closing:
                    break
                self._report()
                self._wake.wait(_REPORT_EVERY_SECONDS if self._has_news() else None)
                if not self.outcomes and not self._flushes:
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

    def _is_urgent(self) -> bool:
        return self.is_closing or bool(self._flushes)

    def _has_news(self) -> bool:
        return self.dropped + self.refused != self._reported

    def _backoff(self, failures: int) -> float:
        longest = _FIRST_BACKOFF_SECONDS if self._is_urgent() else _LONGEST_BACKOFF_SECONDS
        return with_jitter(
            backoff_seconds(failures, first_seconds=_FIRST_BACKOFF_SECONDS, longest_seconds=longest)
        )

    def _write_here(self, timeout: float) -> bool:
        """Write in the calling thread: at the end of a process the system starts no other."""
        deadline = time.monotonic() + timeout
        while not self._write_or_note_failure(deadline - time.monotonic()):
            if time.monotonic() + _FIRST_BACKOFF_SECONDS > deadline:
                return False
            time.sleep(_FIRST_BACKOFF_SECONDS)
        return not self.outcomes

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
        """Write all that waits now, and answer those who asked for it before."""
        asked = len(self._flushes)
        left = len(self.outcomes)
        while left > 0 and not self.is_abandoned:
            if self._batch is None:
                length = min(BATCH_LENGTH, left)
                self._batch = Batch([self.outcomes[index] for index in range(length)])
            self._batch.write(self._connected(patience))
            left -= self._batch.length
            self._settle(self._batch)
            self._batch = None
        for _ in range(asked):
            self._flushes.popleft().set()

    def _settle(self, batch: Batch) -> None:
        with self._lock:
            for _ in range(min(batch.length, len(self.outcomes))):
                self.outcomes.popleft()
            self.refused += batch.refused

    def _report(self, *, now: bool = False) -> None:
        """Log how many were lost since the last time, and why; not more often than every few seconds."""
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


_QUEUES: WeakSet[_Queue] = WeakSet()
"""Those of this process and, in a forked child, the abandoned ones of its parent."""


def flush_all(timeout: float) -> bool:
    """Write what waits in every client of this process; return whether all of it was settled in time."""
    deadline = time.monotonic() + timeout
    settled = [each.flush(max(0.0, deadline - time.monotonic())) for each in _own_queues()]
    return all(settled)


def _own_queues() -> list[_Queue]:
    return [each for each in tuple(_QUEUES) if not each.is_abandoned]


def _close_all() -> None:
    deadline = time.monotonic() + EXIT_TIMEOUT_SECONDS
    for queue in _own_queues():
        queue.close(max(0.0, deadline - time.monotonic()))


atexit.register(_close_all)
