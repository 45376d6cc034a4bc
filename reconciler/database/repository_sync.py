"""What a sync from GitHub reads and writes of the stand-alone table of repositories."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import text

from reconciler.database.queries import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("repository_sync")


@dataclass(frozen=True, slots=True)
class Count:
    """One repository's contributors, None where GitHub does not say, and when GitHub was asked."""

    github_id: int
    contributors: int | None
    asked_at: datetime


def read_known(connection: "Connection", owner: str, names: Iterable[str]) -> frozenset[int]:
    """Return GitHub's ids of an owner's repositories, and of those that have one of some names."""
    parameters = {"owner": owner, "names": [name.lower() for name in names]}
    return frozenset(connection.execute(text(_SQL["known"]), parameters).scalars())


def give_up_names(connection: "Connection", names: Mapping[int, str]) -> int:
    """Take their names from repositories that are not the ones called so at GitHub; return from how many.

    `names` says what is called so: GitHub's id → name.
    """
    parameters = {"github_ids": list(names), "names": list(names.values())}
    return connection.execute(text(_SQL["give_up_names"]), parameters).rowcount


def read_uncounted(
    connection: "Connection", pushed_at: Mapping[int, datetime | None]
) -> frozenset[int]:
    """Return which of these repositories have to be counted: pushed to since the last count, or new."""
    parameters = {"github_ids": list(pushed_at), "pushed_at": list(pushed_at.values())}
    return frozenset(connection.execute(text(_SQL["uncounted"]), parameters).scalars())


def store_counts(connection: "Connection", counts: Sequence[Count]) -> None:
    """Store contributors, and that they were counted."""
    parameters = {
        "github_ids": [each.github_id for each in counts],
        "contributors": [each.contributors for each in counts],
        "asked_at": [each.asked_at for each in counts],
    }
    connection.execute(text(_SQL["store_counts"]), parameters)
