"""A read-only transaction over a test's database."""

from contextlib import AbstractContextManager

from reconciler.database.driver import DriverConnection
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.database.transactions import read_only_transaction
from tests.postgres import Database


def reading(database: Database) -> AbstractContextManager[DriverConnection]:
    """Return a transaction as those of the program are."""
    return read_only_transaction(OpenedDatabase.at(database.address))
