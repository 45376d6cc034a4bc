"""Calls a service's handler of changes in a separate thread.

A handler may be slow or raise; the threads that follow the database do not wait for it. Changes
during a call are collected, and the next call gets all of them.
"""

import logging
import threading
from collections.abc import Callable

from rollout_client.threads import Wake, start_thread

_LOG = logging.getLogger("reconciler.client")


class Notifier:
    """Calls a handler with the features whose answers may have changed, one call at a time."""

    def __init__(self, handler: Callable[[frozenset[str]], None]) -> None:
        self._handler = handler
        self._changed: frozenset[str] = frozenset()
        self._is_running = self._is_stopped = False
        self.restart_after_fork()

    def note(self, features: frozenset[str]) -> None:
        """Request a call of the handler with these features, and return at once."""
        with self._lock:
            self._changed |= features
            if not self._is_running and not self._is_stopped:
                # Set before the start: a signal handler that interrupts this line starts no second
                # thread.
                self._is_running = True
                self._wake = Wake()
                self._is_running = start_thread(self._run, "rollout-changes")
        self._wake.set()

    def stop(self) -> None:
        """Stop calling the handler; a running call continues."""
        self._is_stopped = True
        self._wake.set()

    def restart_after_fork(self) -> None:
        """In a forked child: use a new lock and, from the next change on, a new thread."""
        self._lock = threading.RLock()
        self._wake = Wake()
        self._changed = frozenset()
        self._is_running = False
        self._is_stopped = False

    def _run(self) -> None:
        wake = self._wake
        while not self._is_stopped and self._wake is wake:
            with self._lock:
                changed, self._changed = self._changed, frozenset()
            if changed:
                try:
                    self._handler(changed)
                except (Exception, SystemExit):  # noqa: BLE001 - it is the service's
                    _LOG.exception("on_change failed")
            else:
                wake.wait()
