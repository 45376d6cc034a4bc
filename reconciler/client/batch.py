"""A batch: outcomes that are written together, each exactly once, whichever way the connection is lost."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import psycopg

from reconciler.client.connection import Connection, statement
from reconciler.client.outcome import Outcome

# By the beginning of SQLSTATE: the outcome is at fault, not the connection or the setup.
_BAD_OUTCOME_STATES: Final = ("22", "23", "P0")
_NOT_IN_DATABASE: Final = "the database does not have their feature or repository"


class CommitUndecided(Exception):
    """A transaction whose COMMIT was not answered has not ended yet."""


class Batch:
    """Outcomes, and how far writing them got; `write` is called until it returns."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.length: Final = len(outcomes)
        self.refused: Final[Counter[str]] = Counter()
        """How many the database did not take, by cause."""
        self._pieces: list[Sequence[Outcome]] = [outcomes]
        """Not settled yet; the last is next."""
        self._in_doubt: tuple[str, int] | None = None
        """The transaction of the next piece whose COMMIT was not answered, and how many it recorded."""

    def write(self, connection: Connection) -> None:
        """Write what is not settled; of outcomes that are refused together, each by itself.

        Raises:
            psycopg.Error: The connection is lost, or may not write; call again with another.
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
                # Refused, even if by COMMIT, it is not written.
                self._in_doubt = None
                self._pieces.pop()
                if len(piece) > 1:
                    half = len(piece) // 2
                    self._pieces += [piece[half:], piece[:half]]
                else:
                    self.refused[" ".join(str(error).split())] += 1

    def _write(self, connection: Connection, piece: Sequence[Outcome]) -> None:
        with connection.begun():
            row = connection.execute(
                statement("record"),
                {
                    "features": [each.feature for each in piece],
                    "repositories": [each.repository_id for each in piece],
                    "processors": [each.processor for each in piece],
                    "succeeded": [each.succeeded for each in piece],
                    "seconds": [each.seconds for each in piece],
                    "errors": [each.error for each in piece],
                },
            ).fetchone()
            recorded, transaction = row or (0, "")
            self._in_doubt = transaction, int(recorded)
        self._settle(int(recorded))

    def _settle_doubt(self, connection: Connection) -> None:
        """Ask what became of a COMMIT that was not answered; a server that has no record of it has none."""
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
            # The driver's own: it cannot send a value. A lost connection is an OperationalError.
            return isinstance(error, psycopg.DataError | psycopg.ProgrammingError)
        return state.startswith(_BAD_OUTCOME_STATES)
    return isinstance(error, ValueError | TypeError | OverflowError)
