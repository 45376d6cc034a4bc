"""What a sync from GitHub reads and writes of the stand-alone table of repositories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import text

from reconciler.database.queries import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("syncing")


@dataclass(frozen=True, slots=True)
class Count:
    """One repository's contributors, None where GitHub does not say, and when GitHub was asked."""

    github_id: int
    contributors: int | None
    asked_at: datetime


def read_owned(connection: "Connection", owner: str) -> Mapping[int, str]:
    """Return an owner's repositories: GitHub's id → name."""
    rows = connection.execute(text(_SQL["owned"]), {"owner": owner})
    return {row.github_id: row.full_name for row in rows}


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
