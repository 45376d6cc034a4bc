"""Connections of the driver, in a transaction: no command but one about the schema waits for SQLAlchemy.

`execute` runs a statement on either kind of connection, so that acts share their statements with everything
else.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import psycopg
from psycopg.rows import namedtuple_row

if TYPE_CHECKING:
    from typing import LiteralString

    from sqlalchemy import Connection

_PARAMETER: Final = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
"""A parameter as SQLAlchemy reads it; not a cast such as `::text`."""
_NO_PARAMETERS: Final[Mapping[str, Any]] = MappingProxyType({})


class StatementFailed(Exception):
    """A statement or the connection failed."""

    def __init__(self, original: psycopg.Error, *, is_lost: bool) -> None:
        super().__init__(str(original))
        self.orig = original
        self.connection_invalidated = is_lost
        """Whether the connection is lost."""


class Rows:
    """The rows of a statement, each with its columns as attributes."""

    def __init__(self, rows: Sequence[Any], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount
        """The number of rows that the statement returned or wrote."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> Sequence[Any]:
        """Return every row."""
        return self._rows

    def mappings(self) -> list[dict[str, Any]]:
        """Return every row as its values by the names of their columns."""
        return [row._asdict() for row in self._rows]

    def one(self) -> Any:
        """Return the only row."""
        (row,) = self._rows
        return row

    def one_or_none(self) -> Any:
        """Return the only row, or None."""
        return self.one() if self._rows else None

    def scalar(self) -> Any:
        """Return the first column of the first row, or None."""
        return self._rows[0][0] if self._rows else None

    def scalars(self) -> list[Any]:
        """Return the first column of every row."""
        return [row[0] for row in self._rows]


class DriverConnection:
    """A connection of the driver, in a transaction."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def execute(self, statement: str, parameters: Mapping[str, Any] = _NO_PARAMETERS) -> Rows:
        """Run a statement with parameters such as `:name`.

        Raises:
            StatementFailed: the server refused it, or the connection is lost.
        """
        try:
            with self._connection.cursor(row_factory=namedtuple_row) as cursor:
                if parameters:
                    cursor.execute(_for_driver(statement), parameters)
                else:
                    # Only without parameters a text may have several statements.
                    cursor.execute(statement.encode())
                rows = [] if cursor.description is None else cursor.fetchall()
                return Rows(rows, cursor.rowcount)
        except psycopg.Error as error:
            raise self._failed(error) from error

    def commit(self) -> None:
        """Commit the transaction.

        Raises:
            StatementFailed: as `execute` does.
        """
        try:
            self._connection.commit()
        except psycopg.Error as error:
            raise self._failed(error) from error

    def rollback(self) -> None:
        """End the transaction; nothing of it is written.

        Raises:
            StatementFailed: as `execute` does.
        """
        try:
            self._connection.rollback()
        except psycopg.Error as error:
            raise self._failed(error) from error

    @contextmanager
    def begin_nested(self) -> Iterator[None]:
        """Run the block behind a savepoint: if it fails, only what it did is taken back.

        Raises:
            StatementFailed: as `execute` does.
        """
        try:
            with self._connection.transaction():
                yield
        except psycopg.Error as error:
            raise self._failed(error) from error

    def copy(self, statement: "LiteralString", rows: Iterable[Sequence[Any]]) -> None:
        """Send rows to a statement such as `COPY table FROM STDIN`.

        Raises:
            StatementFailed: as `execute` does.
        """
        try:
            with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(row)
        except psycopg.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: psycopg.Error) -> StatementFailed:
        return StatementFailed(error, is_lost=self._connection.closed or self._connection.broken)


AnyConnection: TypeAlias = "Connection | DriverConnection"


def execute(
    connection: AnyConnection,
    statement: str,
    parameters: Mapping[str, Any] = _NO_PARAMETERS,
) -> Rows:
    """Run a statement with parameters such as `:name` on a connection of either kind."""
    if isinstance(connection, DriverConnection):
        return connection.execute(statement, parameters)
    from sqlalchemy import text

    result = connection.execute(text(statement), parameters)
    return Rows(result.all() if result.returns_rows else (), result.rowcount)


def driver_error(error: BaseException) -> psycopg.Error | None:
    """Return the driver's error in an error of a connection of either kind; None in any other error."""
    original = getattr(error, "orig", error)
    return original if isinstance(original, psycopg.Error) else None


def is_connection_lost(error: BaseException) -> bool:
    """Return whether an error ended its connection."""
    return bool(getattr(error, "connection_invalidated", False))


@cache
def _for_driver(statement: str) -> "LiteralString":
    """Return a statement with its parameters as the driver reads them."""
    written: Any = _PARAMETER.sub(r"%(\1)s", statement.replace("%", "%%"))
    return written  # type: ignore[no-any-return] # the statements are files of this package
