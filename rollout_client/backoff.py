"""The wait before another try: twice as long after each failure, up to a limit."""

import random
from typing import Final

_MOST_DOUBLINGS: Final = 16
"""An outage may last for days: the exponent is bounded too."""


def backoff_seconds(failures: int, *, first_seconds: float, longest_seconds: float) -> float:
    """Return the seconds to wait after `failures` failures in a row, at least one."""
    doublings = min(max(failures, 1) - 1, _MOST_DOUBLINGS)
    return float(min(first_seconds * 2**doublings, longest_seconds))


def with_jitter(seconds: float) -> float:
    """Return half to one and a half of `seconds`, at random, so that processes do not retry together."""
    return random.uniform(0.5, 1.5) * seconds  # noqa: S311 - no secret
