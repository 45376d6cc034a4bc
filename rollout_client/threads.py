"""The client's own threads: how they start, and how they are woken.

A signal handler may interrupt any line of the main thread, also one that holds a lock. So the code
that a handler may call (`RolloutClient.record`) uses only this module and reentrant locks.
"""

import _thread
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

_LOG = logging.getLogger("reconciler.client")


class Wake:
    """A flag that wakes one thread; a signal handler may set it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Set the flag; a flag that is already set stays set."""
        with suppress(RuntimeError):
            self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the flag, and clear it; return False if it is not set within `timeout` seconds."""
        return self._lock.acquire(timeout=-1 if timeout is None else max(0.0, timeout))


def park() -> None:
    """Never return: for a thread of the parent that gevent, unlike the system, continues in a child.

    If it ended there, `threading`, which forgot it at the fork, would report a failure.
    """
    threading.Event().wait()


def start_thread(target: Callable[[], None], name: str) -> bool:
    """Start a daemon thread; return False, with a log line, if the system cannot start one now.

    `threading.Thread.start` takes a lock that the code under a signal handler may hold; this does
    not.
    """

    def run() -> None:
        threading.current_thread().name = name
        try:
            target()
        finally:
            # Before Python 3.12 the entry of a thread that `threading` did not start stays after
            # its end.
            getattr(threading, "_active", {}).pop(threading.get_ident(), None)

    try:
        _thread.start_new_thread(run, ())
    except RuntimeError as error:
        _LOG.warning("thread %s cannot start: %s; it is tried again", name, error)
        return False
    return True
