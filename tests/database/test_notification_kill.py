"""Killed at any point, a sender loses no message, and sends at most one copy of it, with the same id."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event

import pytest

from tests.eventually import DEADLINE_SECONDS, eventually
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

HELD = {
    "claim, in its statement": (725_101, "BEFORE", "NEW.attempts > OLD.attempts"),
    "claim, in its commit": (725_102, "COMMIT", "NEW.attempts > OLD.attempts"),
    "result, in its statement": (725_103, "BEFORE", "NEW.state <> OLD.state"),
    "result, in its commit": (725_104, "COMMIT", "NEW.state <> OLD.state"),
}
BY_RECEIVER = (
    "the connection is made",
    "the request is read",
    "the message is taken, and not answered",
    "the message is answered",
)


@contextmanager
def holding(database: Database, point: str) -> Iterator[Callable[[], bool]]:
    """Hold senders at a point of the database; yields whether one waits there."""
    lock, when, condition = HELD[point]
    database.execute(
        f"""
        CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock_shared({lock}); RETURN NEW; END $$
        """
    )
    kind = "TRIGGER hold BEFORE UPDATE ON rollout_notification"
    if when == "COMMIT":
        kind = (
            "CONSTRAINT TRIGGER hold AFTER UPDATE ON rollout_notification"
            " DEFERRABLE INITIALLY DEFERRED"
        )
    database.execute(f"CREATE {kind} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION hold()")

    def waiting() -> bool:
        count: int = database.value(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            f" AND objid = {lock}"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return count > 0

    with database.connect() as connection:
        connection.execute(f"SELECT pg_advisory_xact_lock({lock})".encode())
        yield waiting
    eventually(lambda: not waiting())
    database.execute("DROP FUNCTION hold() CASCADE")


def kill_at(database: Database, point: str, hook: Receiver, environment: Mapping[str, str]) -> None:
    """Deliver in a process that is killed at a point."""
    process = PROCESSES.Process(target=deliver, args=(database, environment))
    if point in HELD:
        with holding(database, point) as is_held:
            process.start()
            eventually(is_held)
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
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
    assert process.exitcode == -signal.SIGKILL
    eventually(
        lambda: (
            database.value(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            == 0
        )
    )


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
