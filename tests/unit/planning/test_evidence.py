"""The tests of evidence: formulas against SciPy, their guarantee, starts, and windows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import product
from math import comb, exp, inf, isclose, log, sqrt
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import betaln, logsumexp
from scipy.stats import binom

from reconciler.planning.evidence import (
    NO_ARMS,
    WINDOW,
    Arms,
    Block,
    Counts,
    EvidenceRun,
    EvidenceSettings,
    EvidenceTest,
    advance,
    kept_starts,
    window_of,
)
from reconciler.planning.evidence_formulas import (
    Arm,
    log_factor,
    log_hard_limit,
    log_weighted_sum,
)
from reconciler.planning.evidence_value import EvidenceLevel, weigh
from rollout_client.targeting.categories import Category

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = EvidenceSettings(Decimal(5))
NO_TOLERANCE = replace(SETTINGS, max_regression=Decimal(0))

arms = st.integers(0, 60).flatmap(lambda jobs: st.builds(Arm, st.just(jobs), st.integers(0, jobs)))
counts = st.builds(lambda arm: Counts(arm.jobs, arm.hits, arm.jobs, arm.hits), arms)


def block(
    new: Counts, baseline: Counts, *, window: int = 0, category: Category = Category.SMALL
) -> Block:
    return Block(category, BEGIN + window * WINDOW, baseline, new)


def after(
    blocks: Sequence[Block], windows: int, settings: EvidenceSettings = SETTINGS
) -> EvidenceRun:
    return advance(EvidenceRun.begin(BEGIN), blocks, BEGIN + windows * WINDOW, settings)


# Formulas


@given(arms, st.sampled_from([0.01, 0.05, 0.5, 1.0]))
def test_the_hard_limit_equals_scipys(arm: Arm, limit: float) -> None:
    best = min(limit, arm.hits / arm.jobs) if arm.jobs else limit
    likelihood = binom.logpmf(arm.hits, arm.jobs, best) - log(comb(arm.jobs, arm.hits))
    expected = betaln(0.5 + arm.hits, 0.5 + arm.jobs - arm.hits) - betaln(0.5, 0.5) - likelihood

    assert isclose(log_hard_limit(arm.hits, arm.jobs, limit), expected, rel_tol=1e-9, abs_tol=1e-9)


def test_any_error_is_over_a_limit_of_zero() -> None:
    assert log_hard_limit(1, 1_000, 0) == inf
    assert log_hard_limit(0, 1_000, 0) < 0


@given(arms, arms, arms, arms, st.sampled_from([0.0, 0.02, 0.3]))
def test_a_factor_equals_scipys(
    baseline: Arm, new: Arm, earlier_baseline: Arm, earlier_new: Arm, tolerance: float
) -> None:
    q_a = earlier_baseline.expected_rate
    q_b = max(q_a, earlier_new.expected_rate)
    expected = 0.0
    if q_b > q_a + tolerance and baseline.jobs and new.jobs:

        def slope(r: float) -> float:
            return baseline.jobs * (q_a - r) / (r * (1 - r)) + new.jobs * (q_b - r - tolerance) / (
                (r + tolerance) * (1 - r - tolerance)
            )

        r = brentq(slope, q_a, q_b - tolerance, xtol=1e-14)
        expected = (
            binom.logpmf(baseline.hits, baseline.jobs, q_a)
            - binom.logpmf(baseline.hits, baseline.jobs, r)
            + binom.logpmf(new.hits, new.jobs, q_b)
            - binom.logpmf(new.hits, new.jobs, r + tolerance)
        )

    found = log_factor(baseline, new, (earlier_baseline, earlier_new), tolerance)

    assert isclose(found, expected, rel_tol=1e-7, abs_tol=1e-7)


@given(st.dictionaries(st.integers(1, 500), st.floats(-50, 900), min_size=1, max_size=20))
def test_the_weighted_sum_equals_scipys(logs: dict[int, float]) -> None:
    weights = [1 / (number * (number + 1)) for number in logs]

    expected = logsumexp(list(logs.values()), b=weights)

    assert isclose(log_weighted_sum(logs), expected, rel_tol=1e-9, abs_tol=1e-9)


# The guarantee


@pytest.mark.parametrize("tolerance", [0.0, 0.1])
@pytest.mark.parametrize(("base", "excess"), [(0.1, 0.0), (0.3, 0.1), (0.5, 0.05), (0.05, 0.1)])
def test_products_of_factors_are_supermartingales(
    tolerance: float, base: float, excess: float
) -> None:
    """Every outcome of three small blocks, weighed by its probability at the edge of the null or inside."""
    rates = base, base + min(excess, tolerance)
    sizes = ((2, 1), (3, 2), (1, 2))

    def expectation(position: int, earlier: tuple[Arm, Arm]) -> float:
        if position == len(sizes):
            return 1.0
        n_a, n_b = sizes[position]
        total = 0.0
        for y_a, y_b in product(range(n_a + 1), range(n_b + 1)):
            chance = binom.pmf(y_a, n_a, rates[0]) * binom.pmf(y_b, n_b, rates[1])
            factor = exp(log_factor(Arm(n_a, y_a), Arm(n_b, y_b), earlier, tolerance))
            assert factor >= 0
            later = (
                Arm(earlier[0].jobs + n_a, earlier[0].hits + y_a),
                Arm(earlier[1].jobs + n_b, earlier[1].hits + y_b),
            )
            total += chance * factor * expectation(position + 1, later)
        return total

    # Earlier blocks that make the test bet on a regression.
    assert expectation(0, (Arm(10, 0), Arm(10, 6))) <= 1 + 1e-9


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.05])
def test_the_hard_limit_rarely_reaches_its_line_under_the_null(rate: float) -> None:
    """The exact chance that the value of a start ever reaches 20 within 60 jobs is at most one in 20."""
    line = log(20)

    @cache
    def chance(errors: int, jobs: int) -> float:
        if log_hard_limit(errors, jobs, 0.05) >= line:
            return 1.0
        if jobs == 60:
            return 0.0
        return rate * chance(errors + 1, jobs + 1) + (1 - rate) * chance(errors, jobs + 1)

    assert chance(0, 0) <= 1 / 20


windows = st.dictionaries(st.sampled_from(Category), st.tuples(counts, counts))


@given(st.lists(windows, max_size=4), st.randoms())
def test_the_order_of_categories_does_not_matter(found: Any, random: Random) -> None:
    blocks = [
        block(new, baseline, window=position, category=category)
        for position, by_category in enumerate(found)
        for category, (new, baseline) in by_category.items()
    ]
    shuffled = list(blocks)
    random.shuffle(shuffled)

    one, other = (
        weigh(after(blocks, 4), NO_ARMS, SETTINGS),
        weigh(after(shuffled, 4), NO_ARMS, SETTINGS),
    )

    for test in SETTINGS.tests:
        assert isclose(one.logs[test], other.logs[test], abs_tol=1e-9)


# Windows and starts


@given(counts, counts, counts, counts)
def test_a_window_is_counted_once_however_late_it_is_written(
    new: Counts, baseline: Counts, late_new: Counts, late_baseline: Counts
) -> None:
    run = after([block(new, baseline)], 2)

    again = advance(run, [block(late_new, late_baseline)], BEGIN + 2 * WINDOW, SETTINGS)
    later = advance(run, [block(late_new, late_baseline)], BEGIN + 3 * WINDOW, SETTINGS)

    assert again == run
    assert later.states == run.states


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=30), st.integers(1, 29))
def test_windows_may_be_counted_at_once_or_one_by_one(
    found: list[tuple[Counts, Counts]], step: int
) -> None:
    blocks = [
        block(new, baseline, window=position) for position, (new, baseline) in enumerate(found)
    ]
    run = EvidenceRun.begin(BEGIN)
    for until in (*range(step, len(blocks), step), len(blocks)):
        fresh = [each for each in blocks if each.window_start >= run.closed_until]
        run = advance(run, fresh, BEGIN + until * WINDOW, SETTINGS)

    assert run == after(blocks, len(blocks))


@given(st.integers(0, 3_000), st.integers(0, 3_000))
def test_a_start_that_is_kept_was_kept_before(one: int, other: int) -> None:
    earlier, later = sorted((one, other))
    kept = set(kept_starts(BEGIN, BEGIN + later * WINDOW))
    before = set(kept_starts(BEGIN, BEGIN + earlier * WINDOW))

    assert {number for number in kept if number <= earlier + 1} <= before
    assert later + 1 in kept
    assert 1 in kept


def test_starts_are_thinned_out() -> None:
    kept = kept_starts(BEGIN, BEGIN + timedelta(days=10))

    assert kept[-12:] == tuple(range(2870, 2882))
    assert sum(2880 - 576 <= number - 1 <= 2868 for number in kept) == 48
    assert sum(number - 1 < 2880 - 576 for number in kept) == 8


def test_a_run_begins_in_the_window_of_its_change() -> None:
    moment = datetime(2026, 1, 1, 12, 3, 20, tzinfo=UTC)
    run = EvidenceRun.begin(moment)

    assert run.closed_until == window_of(moment) == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert (run.start_of(1), run.start_of(2)) == (moment, datetime(2026, 1, 1, 12, 5, tzinfo=UTC))


# The value


def test_evidence_is_the_largest_test_divided_by_the_number_of_tests() -> None:
    found = weigh(EvidenceRun.begin(BEGIN), Arms(new=Counts(4, 4)), SETTINGS)

    # Of the weights of starts only the first one's counts yet: a half.
    assert found.test is EvidenceTest.HARD_LIMIT
    assert found.value == pytest.approx(exp(log_hard_limit(4, 4, 0.05)) / 2 / 2)
    assert found.warn_line == pytest.approx(sqrt(1000))
    assert found.fail_line == 1000
    assert found.level is EvidenceLevel.FAIL


def test_a_third_test_raises_the_line_for_all() -> None:
    run, jobs = EvidenceRun.begin(BEGIN), Arms(new=Counts(4, 4))
    two = weigh(run, jobs, SETTINGS)
    three = weigh(run, jobs, replace(SETTINGS, max_slowdown=Decimal(10)))

    assert three.value == pytest.approx(two.value * 2 / 3)


def test_four_jobs_that_all_fail_are_enough_and_three_warn() -> None:
    run = EvidenceRun.begin(BEGIN)

    assert weigh(run, Arms(new=Counts(2, 2)), SETTINGS).level is EvidenceLevel.WARN
    assert weigh(run, Arms(new=Counts(3, 3)), SETTINGS).level is EvidenceLevel.WARN
    assert weigh(run, Arms(new=Counts(4, 4)), SETTINGS).level is EvidenceLevel.FAIL


def test_a_late_failure_is_found_by_a_late_start() -> None:
    good = [block(Counts(25), Counts(75), window=number) for number in range(120)]
    run = after(good, 120)

    late = weigh(run, Arms(new=Counts(7, 7)), SETTINGS)

    assert late.level is EvidenceLevel.FAIL
    assert late.start.new == Counts(7, 7)
    assert weigh(run, Arms(new=Counts(6, 6)), SETTINGS).level is not EvidenceLevel.FAIL


def test_slow_jobs_are_tested_as_failures_are() -> None:
    slow = replace(SETTINGS, max_slowdown=Decimal(5))
    blocks = [
        block(Counts(10, 0, 10, 8), Counts(30, 0, 30, 1), window=number) for number in range(6)
    ]
    failed = [block(Counts(10, 8), Counts(30, 1), window=number) for number in range(6)]

    by_slow = weigh(after(blocks, 6, slow), NO_ARMS, slow)
    by_error = weigh(
        after(failed, 6, replace(SETTINGS, max_regression=Decimal(5))), NO_ARMS, SETTINGS
    )

    assert by_slow.test is EvidenceTest.SLOWDOWN
    assert by_slow.logs[EvidenceTest.SLOWDOWN] == by_error.logs[EvidenceTest.REGRESSION]
    assert EvidenceTest.SLOWDOWN not in weigh(after(blocks, 6), NO_ARMS, SETTINGS).logs


def test_a_regression_below_the_hard_limit_is_found() -> None:
    blocks = [block(Counts(100, 4), Counts(300, 1), window=number) for number in range(20)]

    found = weigh(after(blocks, 20, NO_TOLERANCE), NO_ARMS, NO_TOLERANCE)

    assert found.fails(EvidenceTest.REGRESSION)
    assert not found.fails(EvidenceTest.HARD_LIMIT)
