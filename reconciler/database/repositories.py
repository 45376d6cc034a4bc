"""The stand-alone table of repositories: loading a file into it, and listing.

A load is one transaction: every row of the file, or none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING

from sqlalchemy import text

from reconciler.database.queries import queries
from reconciler.errors import FileInvalid, Finding, SetupInvalid
from reconciler.targeting.categories import Category

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("repositories")


@dataclass(frozen=True, slots=True)
class LoadedRow:
    """One row of a file of repositories; None means that the file does not say."""

    line: int
    id: str | None
    github_id: int | None
    full_name: str
    stars: int | None
    contributors: int | None
    pull_requests: int | None


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """How many repositories a load added, changed, and found to be so already."""

    added: int
    updated: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class ListedRepository:
    """One repository with the figures behind its category."""

    id: str
    full_name: str
    category: Category
    test: bool
    stars: int
    contributors: int
    pull_requests: int


def load_repositories(
    connection: "Connection", path: str, rows: Sequence[LoadedRow]
) -> LoadOutcome:
    """Add and update repositories; renames and swaps of names come out right in any order.

    Raises:
        SetupInvalid: the table belongs to a host application.
        FileInvalid: rows of the file at `path` contradict each other or what is there.
    """
    require_stand_alone(connection)
    connection.execute(text(_SQL["make_loaded"]))
    _copy(connection, rows)
    connection.execute(text(_SQL["analyze_loaded"]))
    connection.execute(text(_SQL["match_loaded"]))
    _refuse_conflicts(connection, path)
    connection.execute(text(_SQL["free_names"]))
    updated = connection.execute(text(_SQL["update_known"])).rowcount
    added = connection.execute(text(_SQL["insert_new"])).rowcount
    return LoadOutcome(added=added, updated=updated, unchanged=len(rows) - added - updated)


def require_stand_alone(connection: "Connection") -> None:
    """Raise where the table of repositories is not the reconciler's own.

    Raises:
        SetupInvalid: it belongs to a host application.
    """
    if not connection.execute(text(_SQL["is_stand_alone"])).scalar():
        raise SetupInvalid(
            "the table of repositories belongs to the host application, which keeps it itself; "
            "load into a stand-alone database"
        )


def list_repositories(
    connection: "Connection",
    *,
    owner: str | None,
    category: Category | None,
    only_test: bool,
    eligible_for: str | None,
    limit: int | None,
) -> list[ListedRepository]:
    """Return the repositories that pass every filter given, by name."""
    parameters = {
        "owner": owner,
        "category": category,
        "test": only_test,
        "feature": eligible_for,
        "limit": limit,
    }
    return [
        ListedRepository(**{**row._mapping, "category": Category(row.category)})  # noqa: SLF001
        for row in connection.execute(text(_SQL["list"]), parameters)
    ]


def _copy(connection: "Connection", rows: Iterable[LoadedRow]) -> None:
    columns = ", ".join(field.name for field in fields(LoadedRow))
    cursor = connection.connection.cursor()
    with cursor.copy(f"COPY pg_temp.loaded ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(astuple(row))


def _refuse_conflicts(connection: "Connection", path: str) -> None:
    twice = (
        Finding(row.line, 1, f"this is the repository of line {row.first_line} once more")
        for row in connection.execute(text(_SQL["ambiguous"]))
    )
    taken = (
        Finding(
            row.line,
            1,
            f"{row.full_name} is another repository already (id {row.id}, "
            f"GitHub's {row.github_id or 'unknown'}); load that one's new name with it",
        )
        for row in connection.execute(text(_SQL["conflicts"]))
    )
    if findings := (*twice, *taken):
        raise FileInvalid(path, findings)
