"""Waiting for a condition without a guess of its duration."""

import time
from collections.abc import Callable

DEADLINE_SECONDS = 30
_POLL_SECONDS = 0.005


def eventually(condition: Callable[[], bool], *, seconds: float = DEADLINE_SECONDS) -> None:
    """Return as soon as the condition holds.

    Raises:
        AssertionError: the condition did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(_POLL_SECONDS)
