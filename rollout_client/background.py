"""The background work of a client: following, the snapshot file, and the handler of changes.

It starts when it is first needed. If the system cannot start a thread then, the next question tries
again.
"""

import logging
import threading
import time
from collections.abc import Callable
from math import inf
from typing import Final

from rollout_client import hints
from rollout_client.follower import Follower, Following
from rollout_client.notifier import Notifier
from rollout_client.snapshot import SnapshotFile, SnapshotKeeper
from rollout_client.store import Store

_LOG = logging.getLogger("reconciler.client")

_TRY_START_EVERY_SECONDS: Final = 0.1


class Background:
    """The threads that keep a store up to date, from the first `start` to `stop`."""

    def __init__(
        self,
        following: Following,
        store: Store,
        snapshot: SnapshotFile | None,
        on_change: Callable[[frozenset[str]], None],
    ) -> None:
        self._following = following
        self._store = store
        self._snapshot = snapshot
        self._notifier = Notifier(on_change)
        self._failure: str | None = None
        self.is_stopped = False
        self._follower: Follower | None = None
        self._keeper: SnapshotKeeper | None = None
        self._reset()

    @property
    def is_running(self) -> bool:
        """Whether the database is followed."""
        return self._follower is not None

    @property
    def failure(self) -> str | None:
        """The reason why the database is not followed, in a line; None while it is followed."""
        return self._failure if self._follower is None else self._follower.failure

    def start(self) -> None:
        """Start the threads if they do not run."""
        if self._follower is None and not self._is_starting and not self.is_stopped:
            with self._lock:
                is_due = time.monotonic() >= self._try_start_at
                if (
                    self._follower is None
                    and not self._is_starting
                    and not self.is_stopped
                    and is_due
                ):
                    self._try_start()

    def wait(self, seconds: float) -> bool:
        """Wait for fresh data; return False if that takes longer than `timeout`."""
        deadline = time.monotonic() + seconds
        while not self._store.wait_until_fresh(
            max(0.0, min(_TRY_START_EVERY_SECONDS, deadline - time.monotonic()))
        ):
            if time.monotonic() >= deadline:
                return False
            self.start()
        return True

    def want_unknown(self) -> None:
        """Request a full read soon, for a repository that may be new."""
        follower = self._follower
        if follower is not None:
            follower.want_unknown()

    def note_change(self, features: frozenset[str], *, is_handled: bool) -> None:
        """Request a write of the snapshot file, and a call of the service's handler if there is one."""
        keeper = self._keeper
        if keeper is not None:
            keeper.note_change()
        if is_handled:
            self._notifier.note(features)

    def stop(self, timeout: float) -> None:
        """Stop the threads, and wait for them for at most this number of seconds."""
        deadline = time.monotonic() + timeout
        with self._lock:
            self.is_stopped = True
            follower, self._follower = self._follower, None
            keeper, self._keeper = self._keeper, None
        self._notifier.stop()
        if follower is not None:
            follower.stop(max(0.0, deadline - time.monotonic()))
        if keeper is not None:
            keeper.stop(max(0.0, deadline - time.monotonic()))

    def restart_after_fork(self) -> None:
        """In a forked child: leave the threads and their connections to the parent."""
        follower, keeper = self._follower, self._keeper
        self._reset()
        self._notifier.restart_after_fork()
        if follower is not None:
            follower.restart_after_fork()
        if keeper is not None:
            keeper.restart_after_fork()

    def _reset(self) -> None:
        # Reentrant: a signal handler may record while the interrupted code starts the client.
        self._lock = threading.RLock()
        self._follower = None
        self._keeper = None
        self._is_starting = False
        self._try_start_at = -inf

    def _try_start(self) -> None:
        self._is_starting = True
        try:
            self._start_threads()
            self._failure = None
        except (RuntimeError, OSError) as error:
            self._try_start_at = time.monotonic() + _TRY_START_EVERY_SECONDS
            failure = f"the client cannot start: {error}"
            if failure != self._failure:
                _LOG.warning("%s; it is tried again", failure)
            self._failure = failure
        finally:
            self._is_starting = False

    def _start_threads(self) -> None:
        hints.note_server_without_threads()
        following = self._following
        if self._snapshot is not None and self._keeper is None:
            keeper = SnapshotKeeper(
                self._snapshot, self._store, following.whole_every, following.clock
            )
            keeper.start()
            self._keeper = keeper
        follower = Follower(following, self._store)
        follower.start()
        self._follower = follower
