"""Recording outcomes in the background: in batches, each once, without the caller ever waiting.

What is not written yet waits in a queue with an end. A database that is gone makes it wait; a full queue
drops the newest, and says how many.
"""

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from weakref import WeakSet

import psycopg

from reconciler.client.connection import Connection, connect, in_a_line, statement
from reconciler.client.fork import renewed
from reconciler.database.address import DatabaseAddress

_LOG = logging.getLogger("reconciler.client")

QUEUE_LENGTH = 10_000
BATCH_LENGTH = 500
_FLUSH_EVERY_SECONDS = 1.0
_PATIENCE_SECONDS = 10.0
_PAUSE_AT_END_SECONDS = 0.1
EXIT_TIMEOUT_SECONDS = 5.0
"""How long the end of a process waits for what is not written yet."""
_LONGEST_PROCESSOR = 50
_LONGEST_ERROR = 1000
# By the beginning of SQLSTATE: the outcome is at fault, not the connection or the setup.
_BAD_OUTCOME_STATES = ("22", "23", "P0")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one job ended.

    Raises:
        ValueError: The feature's or the processor's name or the time can't be recorded.
    """

    feature: str
    repository_id: str
    processor: str
    succeeded: bool
    seconds: float | None
    error: str | None

    def __post_init__(self) -> None:
        if not (1 <= len(self.processor) <= _LONGEST_PROCESSOR and _is_text(self.processor)):
            raise ValueError("processor has to have 1 to 50 characters")
        if not _is_text(self.feature):
            raise ValueError("feature has characters that no name has")
        if self.seconds is not None and not 0 <= self.seconds < inf:
            raise ValueError(f"seconds is {self.seconds}: it has to be a time from 0")
        if self.error is not None:
            kept = self.error[:_LONGEST_ERROR].replace("\0", " ")
            object.__setattr__(self, "error", kept.encode("utf-8", "replace").decode())


def _is_text(written: str) -> bool:
    """Tell whether the database can hold it."""
    return written.isprintable()


class Recorder:
    """A queue of outcomes, and the thread that writes them; it starts with the first outcome."""

    def __init__(self, address: DatabaseAddress, queue_length: int) -> None:
        self._address = address
        self._queue_length = queue_length
        self._queue: deque[Outcome] = deque()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None
        self._in_hand = 0
        """Outcomes taken from the queue, of which it is not known yet that they are written."""
        self._in_doubt: tuple[str, Sequence[Outcome]] | None = None
        """A transaction whose COMMIT was not answered, and what it wrote if it was committed."""
        self._dropped_told = 0
        self.dropped = 0
        """Outcomes lost to a full queue, or at the end to a database that did not answer."""
        self.refused = 0
        """Outcomes that the database does not take: their feature or repository is gone."""
        self.failure: str | None = None

    @property
    def waiting(self) -> int:
        """How many are not written yet."""
        return len(self._queue) + self._in_hand

    def put(self, outcome: Outcome) -> bool:
        """Take an outcome to be written soon; False where the queue is full or closed."""
        # What is taken before the end is said is there for the thread to find.
        with self._lock:
            if len(self._queue) >= self._queue_length or self._stopping.is_set():
                self.dropped += 1
                return False
            self._queue.append(outcome)
            if self._thread is None:
                self._start()
        return True

    def refuse(self) -> bool:
        """Count an outcome that the database can't know; False, as `put` says it."""
        with self._lock:
            self.refused += 1
        return False

    def close(self, timeout: float) -> None:
        """Write what waits, for at most so many seconds; what can't be written then is dropped."""
        with self._lock:
            self._stopping.set()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        with self._lock:
            lost = self.waiting
            self.dropped += lost
            self._queue.clear()
        if lost:
            _LOG.error("%d outcomes were not recorded: %s", lost, self.failure or "too little time")

    def begin_again(self) -> Connection | None:
        """In a forked child: what waits is the parent's to write; return its connection, to be kept."""
        connection, self._connection = self._connection, None
        self._queue = deque()
        self._in_hand, self._in_doubt = 0, None
        self._lock = threading.Lock()
        self._stopping = renewed(self._stopping)
        self._thread = None
        self.dropped = self.refused = self._dropped_told = 0
        return connection

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="rollout-outcomes", daemon=True)
        self._thread.start()
        _RECORDERS.add(self)

    def _run(self) -> None:
        is_last = False
        while not is_last or self.waiting:
            # At the end a database that is just away gets the time that `close` gives.
            is_last = self._stopping.wait(_FLUSH_EVERY_SECONDS)
            self._flush()
            self._tell_dropped()
            if is_last and self.waiting:
                time.sleep(_PAUSE_AT_END_SECONDS)
        self._disconnect()

    def _flush(self) -> None:
        try:
            self._settle_doubt()
            while self._queue and self._in_doubt is None:
                self._write_batch()
        except Exception as error:  # noqa: BLE001 - to end here would be to record nothing any more
            self._disconnect()
            failure = in_a_line(error, self._address)
            if failure != self.failure:
                _LOG.warning("%s; outcomes wait to be recorded", failure)
            self.failure = failure
        else:
            self.failure = None

    def _write_batch(self) -> None:
        """Write the oldest of the queue; of outcomes that are refused together, each by itself."""
        length = min(BATCH_LENGTH, len(self._queue))
        pieces: list[Sequence[Outcome]] = [[self._queue.popleft() for _ in range(length)]]
        self._in_hand += length
        while pieces:
            piece = pieces.pop()
            try:
                recorded = self._write(piece)
            except Exception as error:
                if not _is_bad_outcome(error):
                    self._put_back(*reversed(pieces), *([] if self._in_doubt else [piece]))
                    raise
                # Refused, even if by COMMIT, it is not written.
                self._in_doubt = None
                if len(piece) > 1:
                    half = len(piece) // 2
                    pieces += [piece[half:], piece[:half]]
                    continue
                recorded = 0
                _LOG.warning("%s; this outcome is left out", in_a_line(error, self._address))
            self._in_hand -= len(piece)
            with self._lock:
                self.refused += len(piece) - recorded

    def _write(self, outcomes: Sequence[Outcome]) -> int:
        connection = self._connected()
        with connection.transaction():
            row = connection.execute(
                statement("record"),
                {
                    "features": [each.feature for each in outcomes],
                    "repositories": [each.repository_id for each in outcomes],
                    "processors": [each.processor for each in outcomes],
                    "succeeded": [each.succeeded for each in outcomes],
                    "seconds": [each.seconds for each in outcomes],
                    "errors": [each.error for each in outcomes],
                },
            ).fetchone()
            recorded, transaction = row or (0, "")
            self._in_doubt = transaction, outcomes
        self._in_doubt = None
        return int(recorded)

    def _settle_doubt(self) -> None:
        """Ask what became of a COMMIT that was not answered; a server that knows nothing of it has none."""
        if self._in_doubt is None:
            return
        transaction, outcomes = self._in_doubt
        try:
            row = (
                self._connected()
                .execute("SELECT pg_xact_status(%s::text::xid8)", (transaction,))
                .fetchone()
            )
        except psycopg.DataError:
            row = None
        match row:
            case ("in progress",):
                return
            case ("committed",):
                self._in_hand -= len(outcomes)
            case _:
                self._put_back(outcomes)
        self._in_doubt = None

    def _put_back(self, *pieces: Sequence[Outcome]) -> None:
        for piece in reversed(pieces):
            self._queue.extendleft(reversed(piece))
            self._in_hand -= len(piece)

    def _tell_dropped(self) -> None:
        if self.dropped > self._dropped_told:
            _LOG.error(
                "%d outcomes were dropped since the last time: %d wait already, which is all that may",
                self.dropped - self._dropped_told,
                self._queue_length,
            )
            self._dropped_told = self.dropped

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self._address, patience=_PATIENCE_SECONDS)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


def _is_bad_outcome(error: Exception) -> bool:
    if isinstance(error, ValueError | psycopg.DataError):
        return True
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    return state is not None and state.startswith(_BAD_OUTCOME_STATES)


_RECORDERS: WeakSet[Recorder] = WeakSet()


def _close_all() -> None:
    for recorder in tuple(_RECORDERS):
        recorder.close(EXIT_TIMEOUT_SECONDS)


atexit.register(_close_all)
