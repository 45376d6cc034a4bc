"""Reads and writes of a sync from GitHub, in the stand-alone table of repositories."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.database.driver import execute
from reconciler.database.queries import queries

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("repository_sync")


@dataclass(frozen=True, slots=True)
class Count:
    """One repository's contributors, None if GitHub does not report them, and the time of the request."""

    github_id: int
    contributors: int | None
    asked_at: datetime


def read_known(connection: "AnyConnection", owner: str, names: Iterable[str]) -> frozenset[int]:
    """Return the GitHub ids of an owner's repositories and of the repositories with one of these names."""
    parameters = {"owner": owner, "names": [name.lower() for name in names]}
    return frozenset(execute(connection, _SQL["known"], parameters).scalars())


def give_up_names(connection: "AnyConnection", names: Mapping[int, str]) -> int:
    """Rename repositories whose names belong to other repositories at GitHub; return their number.

    `names` is GitHub's current state: GitHub id → name.
    """
    parameters = {"github_ids": list(names), "names": list(names.values())}
    return execute(connection, _SQL["give_up_names"], parameters).rowcount


def read_uncounted(
    connection: "AnyConnection", pushed_at: Mapping[int, datetime | None]
) -> frozenset[int]:
    """Return the repositories to count: new ones, and those with a push since their last count."""
    parameters = {"github_ids": list(pushed_at), "pushed_at": list(pushed_at.values())}
    return frozenset(execute(connection, _SQL["uncounted"], parameters).scalars())


def store_counts(connection: "AnyConnection", counts: Sequence[Count]) -> None:
    """Store the contributors and the time of their count."""
    parameters = {
        "github_ids": [each.github_id for each in counts],
        "contributors": [each.contributors for each in counts],
        "asked_at": [each.asked_at for each in counts],
    }
    execute(connection, _SQL["store_counts"], parameters)
