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


def test_a_circuit_opens_over_the_rate_and_not_at_it() -> None:
    assert circuit_after(True, True, False, False).state is CircuitState.CLOSED
    assert circuit_after(True, True, False, False, False).state is CircuitState.OPEN


def test_a_few_jobs_do_not_open_a_circuit() -> None:
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


def test_an_open_circuit_lets_one_job_through_after_its_wait() -> None:
    circuit = opened()
    assert not circuit.admits(29.9)
    assert circuit.admits(30)
    assert circuit.state is CircuitState.HALF_OPEN
    assert not circuit.admits(31)


def test_a_probe_that_succeeds_closes_the_circuit() -> None:
    circuit = opened()
    circuit.admits(30)
    circuit.record(31, succeeded=True)
    assert circuit.state is CircuitState.CLOSED
    circuit.record(32, succeeded=False)
    assert circuit.state is CircuitState.CLOSED, "it begins to count anew"


def test_a_probe_that_fails_opens_the_circuit_again() -> None:
    circuit = opened()
    circuit.admits(30)
    circuit.record(35, succeeded=False)
    assert not circuit.admits(64.9)
    assert circuit.admits(65)


def test_a_probe_without_outcome_is_followed_by_another() -> None:
    circuit = opened()
    assert circuit.admits(30)
    assert not circuit.admits(59.9)
    assert circuit.admits(60)


def test_jobs_from_before_the_circuit_opened_do_not_count() -> None:
    circuit = opened()
    circuit.record(1, succeeded=True)
    assert circuit.state is CircuitState.OPEN
    assert not circuit.admits(2)
