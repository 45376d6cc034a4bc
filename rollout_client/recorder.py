"""Recording outcomes in the background: in batches, each once, without a wait of the caller.

At the end of a process the waiting outcomes are written, if Python or `multiprocessing` runs exit
handlers.
"""

import atexit
import os
import sys
import time
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

from rollout_client import fork
from rollout_client.address import Address
from rollout_client.clock import CLOCK
from rollout_client.ledger import Ledger
from rollout_client.outcome import Outcome
from rollout_client.outcome_queue import OutcomeQueue
from rollout_client.running_jobs import RunningJobs

QUEUE_LENGTH: Final = 10_000
EXIT_TIMEOUT_SECONDS: Final = 5.0
"""How long the end of a process waits for unwritten outcomes."""
_FINALIZER_PRIORITY: Final = 10
_NAME_UNKNOWN: Final = "no repository of this name is known"


class Recorder:
    """The outcomes of a client; a thread that starts with the first one writes them.

    A forked child has a new queue: the parent writes its own waiting outcomes.
    """

    def __init__(
        self, address: Address, queue_length: int, clock: Callable[[], float] = CLOCK
    ) -> None:
        self._address = address
        self._queue_length = queue_length
        self._ledger = Ledger()
        self.running = RunningJobs(clock, self._report_running)
        """The running jobs of this process."""
        self._queue = self._new_queue()

    @property
    def waiting(self) -> int:
        """The number of unwritten outcomes."""
        return len(self._queue.outcomes)

    @property
    def dropped(self) -> int:
        """Outcomes lost to a full queue, or at the end to a database that did not answer."""
        return self._queue.dropped.total()

    @property
    def refused(self) -> int:
        """Outcomes that the database refused, such as those of a deleted feature."""
        return self._queue.refused.total()

    @property
    def lost(self) -> int:
        """Outcomes of forked processes that ended before they wrote them."""
        return self._ledger.lost()

    @property
    def failure(self) -> str | None:
        """The reason why outcomes cannot be written, in a line."""
        return self._queue.failure

    def put(self, outcome: Outcome) -> bool:
        """Take an outcome to be written soon; return False if the queue is full or closed."""
        _watch_end(self)
        return self._queue.put(outcome)

    def refuse(self) -> bool:
        """Count an outcome of an unknown repository; return False, like `put`."""
        self._queue.refuse(_NAME_UNKNOWN)
        return False

    def flush(self, timeout: float) -> bool:
        """Write the waiting outcomes; return whether all were settled within this number of seconds."""
        return self._queue.flush(timeout)

    def close(self, timeout: float) -> None:
        """Write the waiting outcomes, for at most this number of seconds; then drop the rest."""
        self._queue.close(timeout)

    def restart_after_fork(self) -> None:
        """In a forked child: begin with an empty queue, and leave connection and thread to the parent."""
        is_closed = self._queue.is_closing
        self._queue.abandon()
        self._ledger.restart_after_fork()
        self.running.restart_after_fork()
        self._queue = self._new_queue()
        self._queue.is_closing = is_closed

    def _new_queue(self) -> OutcomeQueue:
        return OutcomeQueue(self._address, self._queue_length, self._ledger, self.running)

    def _report_running(self) -> None:
        _watch_end(self)
        self._queue.report_running()


_RECORDERS: Final[WeakSet[Recorder]] = WeakSet()
"""The recorders with outcomes."""
_watched_processes: Final[set[int]] = set()


def flush_all(timeout: float) -> bool:
    """Write the waiting outcomes of every client in this process; return whether all were settled in time."""
    deadline = time.monotonic() + timeout
    fork.check()
    settled = [each.flush(max(0.0, deadline - time.monotonic())) for each in tuple(_RECORDERS)]
    return all(settled)


def _close_all() -> None:
    deadline = time.monotonic() + EXIT_TIMEOUT_SECONDS
    fork.check()
    for recorder in tuple(_RECORDERS):
        recorder.close(max(0.0, deadline - time.monotonic()))


def _watch_end(recorder: Recorder) -> None:
    """Write outcomes at the end of this process; a child of `multiprocessing` has another kind of end."""
    if recorder not in _RECORDERS:
        _RECORDERS.add(recorder)
    if os.getpid() not in _watched_processes:
        _watched_processes.add(os.getpid())
        util = sys.modules.get("multiprocessing.util")
        process = sys.modules.get("multiprocessing.process")
        if util is not None and process is not None and process.parent_process() is not None:
            util.Finalize(None, _close_all, exitpriority=_FINALIZER_PRIORITY)


atexit.register(_close_all)
