"""Events reach every listener, also if another listener fails."""

import logging

import pytest

from reconciler.operations.events import Event, RolledBack, StandsBy
from reconciler.operations.listeners import emit_to
from reconciler.watching.metrics import RollbackCounter


def test_each_listener_gets_each_event_in_order() -> None:
    received: list[tuple[str, Event]] = []
    emit = emit_to(
        lambda event: received.append(("log", event)),
        lambda event: received.append(("metrics", event)),
    )

    emit(StandsBy("another"))

    assert received == [("log", StandsBy("another")), ("metrics", StandsBy("another"))]


def test_a_listener_that_raises_stops_neither_the_others_nor_the_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    received: list[Event] = []

    def broken(_event: Event) -> None:
        raise ValueError("password=Tr0ub4dor")

    with caplog.at_level(logging.WARNING):
        emit_to(broken, received.append)(StandsBy("another"))

    assert received == [StandsBy("another")]
    assert caplog.messages == ["a listener failed at StandsBy: ValueError"]


def test_the_rollback_counter_counts_rollbacks_by_feature() -> None:
    rollbacks = RollbackCounter()
    emit = emit_to(rollbacks.count)
    for feature in ("capture", "export", "capture"):
        emit(RolledBack(feature, None, 100.0, 4, 4))
    emit(StandsBy("another"))

    assert rollbacks.by_feature == {"capture": 2, "export": 1}
