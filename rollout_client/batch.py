"""A batch: outcomes that are written together, each exactly once, also if the connection is lost."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import psycopg

from rollout_client.connection import Connection, statement
from rollout_client.outcome import Outcome

# By the beginning of SQLSTATE: the outcome is invalid, and neither the connection nor the setup.
_BAD_OUTCOME_STATES: Final = ("22", "23", "P0")
_NOT_IN_DATABASE: Final = "the database does not have their feature or repository"


class CommitUndecided(Exception):
    """A transaction whose COMMIT got no answer has not ended yet."""


class Batch:
    """Outcomes, and the progress of writing them; call `write` until it returns."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.length: Final = len(outcomes)
        self.refused: Final[Counter[str]] = Counter()
        """The number of outcomes that the database refused, by cause."""
        self._pieces: list[Sequence[Outcome]] = [outcomes]
        """Outcomes that are not settled yet; the last one is next."""
        self._in_doubt: tuple[str, int] | None = None
        """The transaction of the next piece whose COMMIT got no answer, and the number of its outcomes."""

    def write(self, connection: Connection) -> None:
        """Write all unsettled outcomes; if outcomes are refused together, write each by itself.

        Raises:
            psycopg.Error: The connection is lost or read-only; call again with another connection.
            CommitUndecided: Call again later.
        """
        self._settle_doubt(connection)
        while self._pieces:
            piece = self._pieces[-1]
            try:
                self._write(connection, piece)
            except Exception as error:
                if not _is_bad_outcome(error):
                    raise
                # Refused, also if COMMIT refused it: it is not written.
                self._in_doubt = None
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
            recorded, transaction = row or (0, "")
            self._in_doubt = transaction, int(recorded)
        self._settle(int(recorded))

    def _settle_doubt(self, connection: Connection) -> None:
        """Return whether a COMMIT without an answer took place; without a record it did not."""
        if self._in_doubt is None:
            return
        transaction, recorded = self._in_doubt
        try:
            row = connection.execute(
                "SELECT pg_catalog.pg_xact_status(%s::text::xid8)", (transaction,)
            ).fetchone()
        except psycopg.DataError:
            row = None
        match row:
            case ("in progress",):
                raise CommitUndecided("the transaction of a lost connection has not ended")
            case ("committed",):
                self._settle(recorded)
            case _:
                self._in_doubt = None

    def _settle(self, recorded: int) -> None:
        piece = self._pieces.pop()
        self._in_doubt = None
        if recorded < len(piece):
            self.refused[_NOT_IN_DATABASE] += len(piece) - recorded


def _is_bad_outcome(error: Exception) -> bool:
    if isinstance(error, psycopg.Error):
        state = error.sqlstate
        if state is None:
            # An error of the driver: it cannot send a value. A lost connection is an
            # OperationalError.
            return isinstance(error, psycopg.DataError | psycopg.ProgrammingError)
        return state.startswith(_BAD_OUTCOME_STATES)
    return isinstance(error, ValueError | TypeError | OverflowError)
