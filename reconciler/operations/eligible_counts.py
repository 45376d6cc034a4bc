"""Counting the eligible repositories of every feature, and keeping the numbers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.eligibility import count_features
from reconciler.database.eligible_counts import Counted, keep_counts, read_audiences
from reconciler.database.transactions import (
    Database,
    idempotent_transaction,
    read_only_transaction,
)
from reconciler.errors import ReconcilerError, Unavailable

if TYPE_CHECKING:
    from reconciler.database.driver import DriverConnection

LIMIT_SECONDS: Final = 300
"""How long one scan may take."""


def count_and_keep(database: Database, confirm: Callable[[], None]) -> None:
    """Count all features by one scan, and keep the numbers of those that did not change meanwhile.

    If the database refuses the scan, each feature is counted by itself, so that one feature stops no other.

    Args:
        database: the database.
        confirm: called before anything is written; raises where this process may not write.

    Raises:
        Unavailable: the scan took too long, or the connection was lost; the counts stay as they were.
        ReconcilerError: the database refused; the other features are counted.
    """
    limited = replace(database, rights=replace(database.rights, statement_seconds=LIMIT_SECONDS))
    try:
        _count_and_keep(limited, confirm, None)
    except Unavailable:
        raise
    except (ReconcilerError, ValueError):
        _count_one_by_one(limited, confirm)


def _count_one_by_one(database: Database, confirm: Callable[[], None]) -> None:
    failure: ReconcilerError | None = None
    with read_only_transaction(database) as connection:
        names = [each.feature for each in read_audiences(connection)]
    for name in names:
        try:
            _count_and_keep(database, confirm, [name])
        except Unavailable:
            raise
        except (ReconcilerError, ValueError) as error:
            failure = ReconcilerError(
                f"{name}: its eligible repositories were not counted: {error}"
            )
    if failure is not None:
        raise failure


def _count_and_keep(
    database: Database, confirm: Callable[[], None], features: Sequence[str] | None
) -> None:
    with read_only_transaction(database) as connection:
        counted = _count(connection, features)
    confirm()
    idempotent_transaction(database, partial(keep_counts, counted=counted))


def _count(connection: "DriverConnection", features: Sequence[str] | None) -> Sequence[Counted]:
    # Verdicts come first: the scan takes one process of the server.
    execute(connection, "SET LOCAL max_parallel_workers_per_gather = 0")
    audiences = read_audiences(connection, features)
    counts = count_features(connection, [each.feature for each in audiences])
    return [Counted(each, counts[each.feature]) for each in audiences]
