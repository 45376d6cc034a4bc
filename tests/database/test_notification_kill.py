"""Killed at any point, a sender loses no message, and sends at most one copy of it, with the same id."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from threading import Event

import pytest

from tests.eventually import DEADLINE_SECONDS
from tests.holding import Point, kill_held, wait_for_ended_sessions
from tests.notifications import (
    add_feature,
    add_target,
    deliver,
    make_due,
    webhook_environment,
)
from tests.postgres import Database
from tests.program import PROCESSES
from tests.receivers import Receiver, check_webhook, receiver

OUTBOX = "rollout_notification"
IS_CLAIM, IS_RESULT = "NEW.attempts > OLD.attempts", "NEW.state <> OLD.state"
HELD = {
    "claim, in its statement": Point(725_101, OUTBOX, condition=IS_CLAIM),
    "claim, in its commit": Point(725_102, OUTBOX, condition=IS_CLAIM, in_commit=True),
    "result, in its statement": Point(725_103, OUTBOX, condition=IS_RESULT),
    "result, in its commit": Point(725_104, OUTBOX, condition=IS_RESULT, in_commit=True),
}
BY_RECEIVER = (
    "the connection is made",
    "the request is read",
    "the message is taken, and not answered",
    "the message is answered",
)


def kill_at(database: Database, point: str, hook: Receiver, environment: Mapping[str, str]) -> None:
    """Deliver in a process that is killed at a point."""
    process = PROCESSES.Process(target=deliver, args=(database, environment))
    if point in HELD:
        kill_held(database, HELD[point], process)
    else:
        # One thread alone may ask for the exit code: it can be read once.
        killed = Event()

        def kill(reached: str) -> None:
            if reached == point and not killed.is_set():
                os.kill(process.pid or 0, signal.SIGKILL)
                process.join()
                killed.set()

        hook.at = kill
        process.start()
        assert killed.wait(DEADLINE_SECONDS)
        hook.at = lambda _reached: None
        wait_for_ended_sessions(database)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("point", [*HELD, *BY_RECEIVER])
def test_a_killed_sender_loses_nothing_and_sends_at_most_one_copy(
    database: Database, point: str, at_size: Callable[[int, int], int]
) -> None:
    add_feature(database)
    add_target(database, "audit", "webhook")
    runs = at_size(20, 100)
    with receiver(check_webhook) as hook:
        environment = webhook_environment("audit", hook)
        for number in range(runs):
            is_stop = number % 2 == 0
            database.execute(f"UPDATE rollout_configuration SET emergency_stop = {is_stop}")
            kill_at(database, point, hook, environment)
            make_due(database)
            deliver(database, environment)
        ids = Counter(each.headers["webhook-id"] for each in hook.received)
        assert hook.refused == []
    assert len(ids) == runs
    assert set(ids.values()) <= {1, 2}
    assert [
        each.body["event"] for each in hook.received if ids.pop(each.headers["webhook-id"], 0)
    ] == ["stopped" if number % 2 == 0 else "resumed" for number in range(runs)]
    assert (
        database.value("SELECT count(*) FROM rollout_notification WHERE state <> 'delivered'") == 0
    )
