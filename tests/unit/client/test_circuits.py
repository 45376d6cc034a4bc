"""A circuit opens at the job that trips it, and closes again by one that is let through."""

from datetime import timedelta

from reconciler.client.circuits import Circuit, CircuitSettings, CircuitState

SETTINGS = CircuitSettings(
    max_error_rate=50, min_jobs=4, window=timedelta(seconds=60), rest=timedelta(seconds=30)
)


def circuit_after(*outcomes: bool, apart: float = 1) -> Circuit:
    circuit = Circuit(SETTINGS)
    for number, succeeded in enumerate(outcomes):
        circuit.record(number * apart, succeeded=succeeded)
    return circuit


def opened() -> Circuit:
    """One that opened at the second 0."""
    return circuit_after(*[False] * 4, apart=0)


def test_it_opens_over_the_rate_and_not_at_it() -> None:
    assert circuit_after(True, True, False, False).state is CircuitState.CLOSED
    assert circuit_after(True, True, False, False, False).state is CircuitState.OPEN


def test_few_jobs_say_nothing() -> None:
    assert circuit_after(False, False, False).state is CircuitState.CLOSED
    assert circuit_after(False, False, False, False).state is CircuitState.OPEN


def test_old_jobs_do_not_count() -> None:
    circuit = circuit_after(False, False, False)
    circuit.record(62.5, succeeded=False)
    assert circuit.state is CircuitState.CLOSED


def test_many_good_jobs_long_ago_do_not_hide_bad_ones_now() -> None:
    circuit = circuit_after(*[True] * 10_000, apart=0.001)
    for _ in range(20):
        circuit.record(11, succeeded=False)
    assert circuit.state is CircuitState.OPEN


def test_open_it_says_no_until_it_has_rested_then_lets_one_through() -> None:
    circuit = opened()
    assert not circuit.admits(29.9)
    assert circuit.admits(30)
    assert circuit.state is CircuitState.HALF_OPEN
    assert not circuit.admits(31)


def test_a_job_let_through_that_succeeds_closes_it() -> None:
    circuit = opened()
    circuit.admits(30)
    circuit.record(31, succeeded=True)
    assert circuit.state is CircuitState.CLOSED
    circuit.record(32, succeeded=False)
    assert circuit.state is CircuitState.CLOSED, "it begins to count anew"


def test_a_job_let_through_that_fails_opens_it_for_another_rest() -> None:
    circuit = opened()
    circuit.admits(30)
    circuit.record(35, succeeded=False)
    assert not circuit.admits(64.9)
    assert circuit.admits(65)


def test_a_job_let_through_that_is_never_heard_of_is_followed_by_another() -> None:
    circuit = opened()
    assert circuit.admits(30)
    assert not circuit.admits(59.9)
    assert circuit.admits(60)


def test_jobs_that_began_before_it_opened_say_nothing() -> None:
    circuit = opened()
    circuit.record(1, succeeded=True)
    assert circuit.state is CircuitState.OPEN
    assert not circuit.admits(2)
