"""The live lists: whitelist, exclusions and marks as test."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.database.driver import execute
from reconciler.database.queries import queries

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("lists")


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One entry: its key, its name, and whether it matches a repository in the database."""

    key: str
    name: str
    known: bool


def read_list(connection: "AnyConnection", *, feature: str, name: str) -> list[ListEntry]:
    """Return the entries of a feature's `whitelist` or `exclusions`, by name."""
    rows = execute(connection, _SQL["read_list"], {"feature": feature, "list": name})
    return [ListEntry(**row._asdict()) for row in rows]


def read_marked(connection: "AnyConnection") -> list[ListEntry]:
    """Return the repositories that are marked as test, by name."""
    rows = execute(connection, _SQL["read_marked"])
    return [ListEntry(**row._asdict()) for row in rows]
