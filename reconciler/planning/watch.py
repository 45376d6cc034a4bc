"""Decisions of the watch: when to renew the lease, when to try again, what to report, when it is silent.

Times are seconds of a monotonic clock; this module reads no clock.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from rollout_client.backoff import backoff_seconds

LEASE_INTERVALS: Final = 3
"""A killed leader delays its successor by this number of intervals."""
SHORTEST_LEASE_SECONDS: Final = 4.0
"""More than twice the time for judging one feature on a slow database."""
SHORTEST_LEASE_ASKING_ELSEWHERE_SECONDS: Final = 24.0
"""The same with metrics from another source: two queries of up to five seconds each."""

SILENT_INTERVALS: Final = 5
"""The watch is silent when no tick has succeeded for this number of intervals."""
SHORTEST_SILENCE_SECONDS: Final = 3.0

FIRST_BACKOFF_SECONDS: Final = 0.5
LONGEST_BACKOFF_SECONDS: Final = 3.0
"""The watch uses a database or remote that came back within this time."""


class LeaseStep(Enum):
    """What to do with the lease before a tick."""

    KEEP = auto()
    """The lease lasts long enough; do nothing."""
    RENEW = auto()
    READ_HOLDER = auto()
    """Read which process is the leader; take the lease if it is free."""


def lease_seconds(interval_seconds: float, *, asks_elsewhere: bool) -> float:
    """Return the length of a lease.

    The leader renews it between two features after half of it: the other half is longer than the
    time for judging one feature.
    """
    shortest = SHORTEST_LEASE_ASKING_ELSEWHERE_SECONDS if asks_elsewhere else SHORTEST_LEASE_SECONDS
    return max(LEASE_INTERVALS * interval_seconds, shortest)


def lease_step(remaining_seconds: float | None, length_seconds: float) -> LeaseStep:
    """Return what to do with the lease.

    A lease is renewed after half of it, so that most ticks write nothing.

    Args:
        remaining_seconds: until this process's lease ends; None if another process may hold it.
        length_seconds: the length of a whole lease.
    """
    if remaining_seconds is None:
        return LeaseStep.READ_HOLDER
    return LeaseStep.KEEP if remaining_seconds > length_seconds / 2 else LeaseStep.RENEW


def retry_seconds(failures: int) -> float:
    """Return the seconds to wait after `failures` failures in a row, at least one."""
    return backoff_seconds(
        failures, first_seconds=FIRST_BACKOFF_SECONDS, longest_seconds=LONGEST_BACKOFF_SECONDS
    )


def is_silent(seconds_since_tick: float | None, interval_seconds: float) -> bool:
    """Return whether the last successful tick is too long ago; None means that none succeeded."""
    if seconds_since_tick is None:
        return True
    return seconds_since_tick > max(SILENT_INTERVALS * interval_seconds, SHORTEST_SILENCE_SECONDS)


class FailureChange(Enum):
    """The change by one more try, for a reader of the log."""

    NONE = auto()
    BEGAN = auto()
    """It fails now, or it fails with another error than before."""
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class FailureState:
    """The failures in a row of repeated tries."""

    failures: int = 0
    kind: str | None = None
    """The kind of the last failure; None after a success."""

    def after(self, kind: str | None) -> tuple["FailureState", FailureChange]:
        """Return the state after one more try, and the change by that try.

        Args:
            kind: the kind of its failure; None if it succeeded.
        """
        if kind is None:
            change = FailureChange.NONE if self.kind is None else FailureChange.ENDED
            return FailureState(), change
        change = FailureChange.NONE if kind == self.kind else FailureChange.BEGAN
        return FailureState(self.failures + 1, kind), change
