"""The formulas of evidence: pure, and in natural logarithms.

The hard limit is universal inference (Wasserman, Ramdas, Balakrishnan 2020) with the mixture of Krichevsky
and Trofimov. The comparison of two arms is the test of Turner, Ly, Grünwald 2024, with a tolerance as in
Turner, Grünwald 2023.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, inf, lgamma, log, log1p
from typing import Final

_PRIOR_ERRORS: Final = 0.18
_PRIOR_JOBS: Final = 0.36
_ROOT_STEPS: Final = 60


@dataclass(frozen=True, slots=True)
class Arm:
    """The jobs of one processor, and those that failed or were slow."""

    jobs: int
    hits: int

    @property
    def expected_rate(self) -> float:
        """The share of hits that these jobs let expect of later ones; a half without jobs."""
        return (self.hits + _PRIOR_ERRORS) / (self.jobs + _PRIOR_JOBS)


def log_hard_limit(errors: int, jobs: int, limit: float) -> float:
    """Return the log evidence that an error rate is over a limit, a share from 0 to 1."""
    mixed = lgamma(0.5 + errors) + lgamma(0.5 + jobs - errors) - lgamma(1 + jobs) - 2 * lgamma(0.5)
    most_likely = min(limit, errors / jobs) if jobs else limit
    return mixed - _log_likelihood(most_likely, Arm(jobs, errors))


def log_factor(baseline: Arm, new: Arm, earlier: tuple[Arm, Arm], tolerance: float) -> float:
    """Return the log factor of one block in the comparison of two arms.

    Args:
        baseline: the block's jobs of the baseline.
        new: the block's jobs of the new processor.
        earlier: the jobs of both in earlier blocks, from which the rates of this one are expected.
        tolerance: the share by which the new processor may be worse, from 0 to 1.
    """
    q_a = earlier[0].expected_rate
    q_b = max(q_a, earlier[1].expected_rate)
    if q_b <= q_a + tolerance or not baseline.jobs or not new.jobs:
        return 0.0
    r = _nearest_null_rate((baseline.jobs, q_a), (new.jobs, q_b), tolerance)
    return (
        _log_likelihood(q_a, baseline)
        - _log_likelihood(r, baseline)
        + _log_likelihood(q_b, new)
        - _log_likelihood(r + tolerance, new)
    )


def log_weighted_sum(logs: Mapping[int, float]) -> float:
    """Return the log of the sum of values, each with the weight 1/(j (j+1)) of its start's number j."""
    terms = [_log_weighted(number, value) for number, value in logs.items()]
    largest = max(terms, default=-inf)
    if largest in {inf, -inf}:
        return largest
    return largest + log(sum(exp(term - largest) for term in terms))


def heaviest_start(logs: Mapping[int, float]) -> int:
    """Return the number of the start with the largest part of the weighted sum; the later of two."""
    return max(logs, key=lambda number: (_log_weighted(number, logs[number]), number))


def _log_weighted(number: int, value: float) -> float:
    return value - log(number) - log1p(number)


def _nearest_null_rate(
    baseline: tuple[int, float], new: tuple[int, float], tolerance: float
) -> float:
    """Return the baseline's rate in the point of the null that is nearest to two expected rates.

    Each arm is the jobs of the block and the expected rate.
    """
    (n_a, q_a), (n_b, q_b) = baseline, new
    if tolerance == 0:
        return (n_a * q_a + n_b * q_b) / (n_a + n_b)
    low, high = q_a, q_b - tolerance
    for _ in range(_ROOT_STEPS):
        r = (low + high) / 2
        slope = n_a * (q_a - r) / (r * (1 - r)) + n_b * (q_b - tolerance - r) / (
            (r + tolerance) * (1 - r - tolerance)
        )
        low, high = (r, high) if slope > 0 else (low, r)
    return (low + high) / 2


def _log_likelihood(rate: float, arm: Arm) -> float:
    """Return the log likelihood of an arm's outcomes at a rate; 0 to the power of 0 is 1."""
    return _times_log(arm.hits, rate) + _times_log(arm.jobs - arm.hits, 1 - rate)


def _times_log(count: int, share: float) -> float:
    if count == 0:
        return 0.0
    return count * log(share) if share > 0 else -inf
