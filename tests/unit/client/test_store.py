"""The store of a client's state, and the threads that wait for a change."""

import threading

from rollout_client.circuits import CircuitState
from rollout_client.notifier import Notifier
from rollout_client.repositories import NO_REPOSITORIES
from rollout_client.state import State
from rollout_client.store import Store
from tests.eventually import DEADLINE_SECONDS


def test_an_open_circuit_is_announced_with_its_feature() -> None:
    announced: list[frozenset[str]] = []
    store = Store(State(), 300, lambda: 0.0, announced.append)

    store.set_broken(lambda: {"f": CircuitState.OPEN})
    store.set_broken(lambda: {"f": CircuitState.OPEN})

    assert store.current.broken == {"f"}
    assert announced == [frozenset("f")]


def test_what_became_stale_is_waited_for_again() -> None:
    now = [0.0]
    store = Store(State(), 300, lambda: now[0], lambda _: None)
    store.set_newest({}, 0)
    store.set_whole({}, NO_REPOSITORIES, 0)
    assert store.wait_until_fresh(0)

    now[0] = 300
    assert not store.wait_until_fresh(0)

    store.set_newest({}, 300)
    store.set_whole({}, NO_REPOSITORIES, 300)
    assert store.wait_until_fresh(0)


def test_a_slow_handler_delays_nothing_and_is_called_with_all_changes() -> None:
    may_return = threading.Event()
    calls: list[frozenset[str]] = []
    called_twice = threading.Event()

    def handle(features: frozenset[str]) -> None:
        calls.append(features)
        if len(calls) == 2:
            called_twice.set()
        may_return.wait(DEADLINE_SECONDS)

    notifier = Notifier(handle)
    notifier.note(frozenset("a"))
    while not calls:
        threading.Event().wait(0.001)
    notifier.note(frozenset("b"))
    notifier.note(frozenset("c"))
    assert calls == [{"a"}]
    may_return.set()

    assert called_twice.wait(DEADLINE_SECONDS)
    assert calls == [{"a"}, {"b", "c"}]
    notifier.stop()


def test_a_handler_that_raises_is_called_for_the_next_change() -> None:
    calls: list[frozenset[str]] = []
    done = threading.Event()

    def handle(features: frozenset[str]) -> None:
        calls.append(features)
        if features == {"c"}:
            done.set()
        raise SystemExit if features == {"a"} else RuntimeError("not now")

    notifier = Notifier(handle)
    for each in "abc":
        seen = len(calls)
        notifier.note(frozenset(each))
        while len(calls) == seen:
            threading.Event().wait(0.001)

    assert done.wait(DEADLINE_SECONDS)
    assert calls == [{"a"}, {"b"}, {"c"}]
    notifier.stop()
