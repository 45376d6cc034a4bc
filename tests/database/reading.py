"""A read-only transaction over a test's database."""

from contextlib import AbstractContextManager

from sqlalchemy import Connection

from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.database.transactions import read_only_transaction
from tests.postgres import Database


def reading(database: Database) -> AbstractContextManager[Connection]:
    """Return a transaction as those of the program are."""
    return read_only_transaction(OpenedDatabase.at(database.address))
