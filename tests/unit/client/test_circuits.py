"""A circuit opens at the job that reaches its limit, and closes after a successful probe."""

from datetime import timedelta

from rollout_client.circuits import Circuit, CircuitSettings, CircuitState

SETTINGS = CircuitSettings(
    max_error_rate=50, min_jobs=4, window=timedelta(seconds=60), rest=timedelta(seconds=30)
)


def circuit_after(*outcomes: bool, apart: float = 1) -> Circuit:
    circuit = Circuit(SETTINGS)
    for number, succeeded in enumerate(outcomes):
        circuit.record(number * apart, "r", succeeded=succeeded)
    return circuit


def opened() -> Circuit:
    """Return a circuit that opened at second 0."""
    return circuit_after(*[False] * 4, apart=0)


def test_a_circuit_opens_over_the_rate_and_not_at_it() -> None:
    assert circuit_after(True, True, False, False).state is CircuitState.CLOSED
    assert circuit_after(True, True, False, False, False).state is CircuitState.OPEN


def test_a_few_jobs_do_not_open_a_circuit() -> None:
    assert circuit_after(False, False, False).state is CircuitState.CLOSED
    assert circuit_after(False, False, False, False).state is CircuitState.OPEN


def test_old_jobs_do_not_count() -> None:
    circuit = circuit_after(False, False, False)
    circuit.record(62.5, "r", succeeded=False)
    assert circuit.state is CircuitState.CLOSED


def test_many_good_jobs_long_ago_do_not_hide_bad_ones_now() -> None:
    circuit = circuit_after(*[True] * 10_000, apart=0.001)
    for _ in range(20):
        circuit.record(11, "r", succeeded=False)
    assert circuit.state is CircuitState.OPEN


def test_an_open_circuit_lets_one_job_through_after_its_wait() -> None:
    circuit = opened()
    assert not circuit.admits(29.9, "r")
    assert circuit.admits(30, "r")
    assert circuit.state is CircuitState.HALF_OPEN
    assert not circuit.admits(31, "r")


def test_a_probe_that_succeeds_closes_the_circuit() -> None:
    circuit = opened()
    circuit.admits(30, "r")
    circuit.record(31, "r", succeeded=True)
    assert circuit.state is CircuitState.CLOSED
    circuit.record(32, "r", succeeded=False)
    assert circuit.state is CircuitState.CLOSED, "it begins to count again"


def test_a_probe_that_fails_opens_the_circuit_again() -> None:
    circuit = opened()
    circuit.admits(30, "r")
    circuit.record(35, "r", succeeded=False)
    assert not circuit.admits(64.9, "r")
    assert circuit.admits(65, "r")


def test_a_probe_without_outcome_is_followed_by_another() -> None:
    circuit = opened()
    assert circuit.admits(30, "r")
    assert not circuit.admits(59.9, "r")
    assert circuit.admits(60, "r")


def test_jobs_from_before_the_circuit_opened_do_not_count() -> None:
    circuit = opened()
    circuit.record(1, "r", succeeded=True)
    assert circuit.state is CircuitState.OPEN
    assert not circuit.admits(2, "r")


def test_five_failures_in_a_row_open_it_however_few_jobs_there_are() -> None:
    circuit = Circuit(CircuitSettings())
    for number, succeeded in enumerate([False] * 4 + [True] + [False] * 4):
        circuit.record(number * 3600, "r", succeeded=succeeded)
    assert circuit.admits(40_000, "r")
    circuit.record(40_000, "r", succeeded=False)
    assert not circuit.admits(40_001, "r")


def test_only_the_outcome_of_the_probe_closes_it() -> None:
    circuit = opened()
    circuit.admits(30, "probe")
    circuit.record(31, "other", succeeded=True)
    assert not circuit.admits(31, "other")
    circuit.record(32, "probe", succeeded=True)
    assert circuit.admits(32, "other")


def test_a_job_begun_before_it_opened_does_not_close_it() -> None:
    circuit = opened()
    circuit.admits(30, "probe")
    circuit.record(31, "probe", succeeded=True, seconds=31.5)
    assert not circuit.admits(31, "other")
    circuit.record(32, "probe", succeeded=True, seconds=1)
    assert circuit.admits(32, "other")
