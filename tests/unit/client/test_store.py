"""Where a client's state changes: who changes it, and who is told."""

import threading

from reconciler.client.circuits import CircuitState
from reconciler.client.state import State
from reconciler.client.store import Store
from tests.waiting import DEADLINE_SECONDS


def test_recording_does_not_wait_for_listeners_of_a_circuit() -> None:
    told_in: list[threading.Thread] = []
    told = threading.Event()

    def tell(_features: frozenset[str]) -> None:
        told_in.append(threading.current_thread())
        told.set()

    store = Store(State(), 300, lambda: 0.0, tell)
    store.set_broken(lambda: {"f": CircuitState.OPEN})

    assert store.current.broken == {"f"}
    assert told.wait(DEADLINE_SECONDS)
    assert told_in != [threading.current_thread()]
