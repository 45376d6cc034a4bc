"""How long an act waits for a server that accepts writes.

A switchover takes seconds, a failover half a minute. Meanwhile the old primary is read-only, and
connections are refused or lost.
"""

import time
from dataclasses import dataclass, field
from typing import Final

import psycopg

from reconciler.database.locks import OnWait, wait_silently
from rollout_client.backoff import backoff_seconds, with_jitter

ACT_SECONDS: Final = 60.0
"""How long an act waits, unless `ROLLOUT_DATABASE_WAIT` has another number of seconds."""
FIRST_BACKOFF_SECONDS: Final = 0.1
_LONGEST_BACKOFF_SECONDS: Final = 1.0
_SWITCHOVER_SQLSTATES: Final = ("08", "25006", "57P01", "57P02", "57P03")
"""A lost connection, a server that is read-only now, and one that stops or starts."""
_NO_SUCH_NAME: Final = ("failed to resolve host", "could not translate host name")
"""The driver's words, and libpq's."""


@dataclass(slots=True)
class Patience:
    """The time that an act may wait; several connections and transactions of one act share it."""

    seconds: float = 0.0
    on_wait: OnWait = wait_silently
    _until: float | None = field(default=None, init=False)
    _failures: int = field(default=0, init=False)

    def wait(self, obstacle: str) -> bool:
        """Wait before the next try; return False, at once, if the time is over.

        The first call starts the time, and reports the obstacle.
        """
        if self.seconds <= 0:
            return False
        if self._until is None:
            self._until = time.monotonic() + self.seconds
            self.on_wait(
                f"waiting up to {self.seconds:.0f} s for a server that accepts writes "
                f"(Ctrl-C ends it): {obstacle}"
            )
        left = self._until - time.monotonic()
        if left <= 0:
            return False
        self._failures += 1
        time.sleep(min(left, _backoff(self._failures)))
        return True

    def end(self) -> None:
        """Note that a write took place: the next act has the whole time again."""
        self._until = None
        self._failures = 0


def pause(failures: int) -> None:
    """Wait a moment before the next try, longer after more failures."""
    time.sleep(_backoff(failures))


def is_of_switchover(error: psycopg.Error, state: str | None) -> bool:
    """Return whether the server may accept the same transaction when a switchover is over.

    Args:
        error: the driver's error.
        state: its SQLSTATE, or the one that its text implies.
    """
    if state is not None:
        return state.startswith(_SWITCHOVER_SQLSTATES)
    # Without a SQLSTATE no server answered. A name that does not exist is a mistake in the address.
    said = str(error)
    return not any(each in said for each in _NO_SUCH_NAME) or "emporary" in said


def _backoff(failures: int) -> float:
    return with_jitter(
        backoff_seconds(
            failures,
            first_seconds=FIRST_BACKOFF_SECONDS,
            longest_seconds=_LONGEST_BACKOFF_SECONDS,
        )
    )
