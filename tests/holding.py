"""Holding a process at a statement of the database, or at its commit, so that a test can kill it there."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

from tests.eventually import eventually
from tests.postgres import Database


@dataclass(frozen=True)
class Point:
    """A change of a table at which a process is held."""

    lock: int
    """The advisory lock that it waits for; another one for each point."""
    table: str
    changes: str = "UPDATE"
    condition: str = "true"
    in_commit: bool = False
    """Whether it is held in the commit of its transaction, or in its statement."""

    @property
    def trigger(self) -> str:
        """The statement that creates the trigger."""
        kind, when, ending = "TRIGGER", "BEFORE", ""
        if self.in_commit:
            kind, when, ending = "CONSTRAINT TRIGGER", "AFTER", "DEFERRABLE INITIALLY DEFERRED"
        return (
            f"CREATE {kind} hold {when} {self.changes} ON {self.table} {ending}"
            f" FOR EACH ROW WHEN ({self.condition}) EXECUTE FUNCTION hold()"
        )


@contextmanager
def holding(database: Database, point: Point) -> Iterator[Callable[[], bool]]:
    """Hold processes at a point; yields whether one waits there."""
    database.execute(
        f"""
        CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock_shared({point.lock}); RETURN NEW; END $$
        """
    )
    database.execute(point.trigger)

    def is_held() -> bool:
        count: int = database.value(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            f" AND objid = {point.lock}"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return count > 0

    with database.connect() as connection:
        connection.execute(f"SELECT pg_advisory_xact_lock({point.lock})".encode())
        yield is_held
    eventually(lambda: not is_held())
    database.execute("DROP FUNCTION hold() CASCADE")


def kill_held(database: Database, point: Point, process: BaseProcess) -> None:
    """Start a process and kill it at a point; return when the database has ended its sessions."""
    with holding(database, point) as is_held:
        process.start()
        eventually(is_held)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
    wait_for_ended_sessions(database)


def wait_for_ended_sessions(database: Database) -> None:
    """Wait until no session but the one of this question is in the database."""
    eventually(
        lambda: (
            database.value(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            == 0
        )
    )
