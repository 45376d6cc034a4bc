"""Waiting for what must come about, without guessing how long it takes."""

import time
from collections.abc import Callable

DEADLINE_SECONDS = 30
_POLL_SECONDS = 0.005


def eventually(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds.

    Raises:
        AssertionError: it never came about.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(_POLL_SECONDS)
