"""Keeping the snapshot file: written after each change, and now and then so that it stays young."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from math import inf

from reconciler.client.snapshot_file import SnapshotFile, SnapshotUnusable
from reconciler.client.store import Store

_LOG = logging.getLogger("reconciler.client")

_REST_FOR_WORK = 20
"""Writing takes at most one part in so many of the time."""
_SHORTEST_REST_SECONDS = 0.5


class Keeper:
    """Reads a client's snapshot file once, and then writes it from a thread of its own."""

    def __init__(
        self, file: SnapshotFile, store: Store, every: float, clock: Callable[[], float]
    ) -> None:
        self._file = file
        self._store = store
        self._every = every
        self._clock = clock
        self._stopping = threading.Event()
        self._changed = threading.Event()
        self._kept_at = -inf, -inf
        """When that which the file says was read."""
        self._thread = threading.Thread(target=self._run, name="rollout-snapshot", daemon=True)

    def start(self) -> None:
        """Take in what the file says, where nothing is known yet, and begin to write it."""
        if self._store.current.state.confirmed_at == -inf:
            try:
                state, age = self._file.read(time.time())
            except SnapshotUnusable as error:
                _LOG.info("%s is not used: %s", self._file.path, error)
            else:
                at = self._clock() - age
                self._kept_at = at, at
                self._store.set_kept(replace(state, newest_at=at, whole_at=at))
        self._thread.start()

    def note_change(self) -> None:
        """Have the file written soon."""
        self._changed.set()

    def stop(self, timeout: float) -> None:
        """Write it a last time."""
        self._stopping.set()
        self._changed.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._changed.wait(self._every)
            self._changed.clear()
            began = time.monotonic()
            self._write()
            took = time.monotonic() - began
            self._stopping.wait(max(_SHORTEST_REST_SECONDS, took * _REST_FOR_WORK))
        self._write()

    def _write(self) -> None:
        """Write it, unless nothing was read since: another process may have written what it read later."""
        state = self._store.current.state
        read_at = state.newest_at, state.whole_at
        if state.confirmed_at == -inf or read_at == self._kept_at:
            return
        try:
            self._file.write(state, self._clock() - state.confirmed_at, time.time())
        except OSError as error:
            _LOG.warning("%s is not written: %s", self._file.path, error.strerror)
        else:
            self._kept_at = read_at
