"""Slow jobs: the bucket of durations above which a job is slow. Pure."""

from collections.abc import Mapping
from typing import Final

MIN_TIMED_JOBS: Final = 20
"""With fewer durations of the baseline, no job is called slow."""
_SLOW_PERCENT: Final = 5


def find_slow_bucket(baseline: Mapping[int, int]) -> int | None:
    """Return the bucket with the baseline's 95th percentile; None with too few durations.

    Args:
        baseline: the number of jobs in each bucket of durations.
    """
    total = sum(baseline.values())
    if total < MIN_TIMED_JOBS:
        return None
    slower = total
    for bucket, jobs in sorted(baseline.items()):
        slower -= jobs
        if 100 * slower <= _SLOW_PERCENT * total:
            return bucket
    return None
