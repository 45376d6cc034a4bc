"""The transaction of a page."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.database.schema import require_newest
from reconciler.database.transactions import Database, read_only_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.database.driver import AnyConnection


@contextmanager
def page_transaction(database: Database) -> "Iterator[AnyConnection]":
    """Yield a read-only transaction over a database with this release's schema."""
    with read_only_transaction(database) as connection:
        require_newest(connection)
        yield connection
