"""A batch: outcomes that are written together, each exactly once, also if the connection is lost."""

from collections import Counter
from collections.abc import Sequence
from typing import Final
from uuid import uuid4

import psycopg

from rollout_client.connection import Connection, statement
from rollout_client.outcome import Outcome
from rollout_client.running_jobs import RunningJobs

# By the beginning of SQLSTATE: the outcome is invalid, and neither the connection nor the setup.
_BAD_OUTCOME_STATES: Final = ("22", "23", "P0")
_NOT_IN_DATABASE: Final = "the database does not have their feature or repository"


class Writer:
    """The writes of one process, numbered from 1, so that the database can refuse one that took place."""

    def __init__(self) -> None:
        self.id: Final = uuid4()
        self.number = 1
        """The number of the next write, or of one whose COMMIT got no answer."""


class Batch:
    """Outcomes, and the progress of writing them; call `write` until it returns."""

    def __init__(self, writer: Writer, outcomes: Sequence[Outcome]) -> None:
        self._writer = writer
        self.length: Final = len(outcomes)
        self.refused: Final[Counter[str]] = Counter()
        """The number of outcomes that the database refused, by cause."""
        self._pieces: list[Sequence[Outcome]] = [outcomes]
        """Outcomes that are not settled yet; the last one is next."""
        self._recorded = 0
        """The number of outcomes of the next piece that its last try recorded, if that try has committed."""

    def write(self, connection: Connection) -> None:
        """Write all unsettled outcomes; if outcomes are refused together, write each by itself.

        Raises:
            psycopg.Error: The connection is lost or read-only, or a transaction whose COMMIT got no
                answer has not ended; call again with another connection.
        """
        while self._pieces:
            piece = self._pieces[-1]
            try:
                self._write(connection, piece)
            except Exception as error:
                if not _is_bad_outcome(error):
                    raise
                # Refused, also if COMMIT refused it: it is not written.
                self._pieces.pop()
                if len(piece) > 1:
                    half = len(piece) // 2
                    self._pieces += [piece[half:], piece[:half]]
                else:
                    self.refused[" ".join(str(error).split())] += 1

    def _write(self, connection: Connection, piece: Sequence[Outcome]) -> None:
        with connection.begun():
            has_kinds = any(each.kind or each.size for each in piece)
            row = connection.execute(
                statement("record_jobs" if has_kinds else "record"),
                {
                    "writer": self._writer.id,
                    "number": self._writer.number,
                    "features": [each.feature for each in piece],
                    "repositories": [each.repository_id for each in piece],
                    "processors": [each.processor for each in piece],
                    "succeeded": [each.succeeded for each in piece],
                    "seconds": [each.seconds for each in piece],
                    "errors": [each.error for each in piece],
                    "kinds": [each.kind for each in piece],
                    "sizes": [each.size for each in piece],
                },
            ).fetchone()
            is_new, recorded = row or (False, 0)
            if not is_new:
                # An earlier try has committed; there is nothing to commit.
                raise psycopg.Rollback
            self._recorded = int(recorded)
        self._writer.number += 1
        self._pieces.pop()
        if self._recorded < len(piece):
            self.refused[_NOT_IN_DATABASE] += len(piece) - self._recorded


def write_running(connection: Connection, running: RunningJobs, most: int) -> None:
    """Write some starts and ends of jobs; after a lost connection, call it again.

    Raises:
        psycopg.Error: The database did not answer, or refused.
    """
    changes = running.changes(most)
    starts = changes.starts.values()
    with connection.begun():
        connection.execute(
            statement("running"),
            {
                "ids": list(changes.starts),
                "features": [each.feature for each in starts],
                "processors": [each.processor for each in starts],
                "ages": [running.age(each) for each in starts],
                "reporter": running.reporter,
                "ended": list(changes.ends),
            },
        )
    running.settle()


def _is_bad_outcome(error: Exception) -> bool:
    if isinstance(error, psycopg.Error):
        state = error.sqlstate
        if state is None:
            # An error of the driver: it cannot send a value. A lost connection is an
            # OperationalError.
            return isinstance(error, psycopg.DataError | psycopg.ProgrammingError)
        return state.startswith(_BAD_OUTCOME_STATES)
    return isinstance(error, ValueError | TypeError | OverflowError)
