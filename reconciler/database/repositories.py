"""The table of repositories: finding one by id or name, listing, and loading a file into a stand-alone table.

A load is one transaction: every row of the file, or none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.errors import FileInvalid, Finding, NotFound, SetupInvalid
from reconciler.uuid_text import is_uuid
from rollout_client.targeting.categories import Category

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection, DriverConnection

_SQL = queries("repositories")

_BEGINNING_LENGTH: Final = 3
_MOST_CANDIDATES: Final = 200
_MOST_SUGGESTIONS: Final = 3
_SUGGESTION_CUTOFF: Final = 0.75
"""Two names of one owner with a long name are about 0.7 similar because of the owner alone."""


@dataclass(frozen=True, slots=True)
class FoundRepository:
    """A repository that is in the database."""

    id: str
    full_name: str


@dataclass(frozen=True, slots=True)
class LoadedRow:
    """One row of a file of repositories; None means that the file has no value."""

    line: int
    id: str | None
    github_id: int | None
    full_name: str
    stars: int | None
    contributors: int | None
    pull_requests: int | None


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """The numbers of repositories that a load added, changed and left unchanged."""

    added: int
    updated: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class ListedRepository:
    """One repository with its category and the metrics that decide it."""

    id: str
    full_name: str
    category: Category
    test: bool
    stars: int
    contributors: int
    pull_requests: int


def find_repository(connection: "AnyConnection", written: str) -> FoundRepository:
    """Return the repository with this id or `owner/name`, in any case.

    Raises:
        NotFound: no repository matches, or several do; the message has the nearest names, or the ids.
    """
    wanted = written.strip()
    if is_uuid(wanted):
        row = execute(connection, _SQL["by_id"], {"id": wanted.lower()}).one_or_none()
        if row is None:
            raise NotFound(f"no repository has the id {wanted.lower()}")
    else:
        rows = execute(connection, _SQL["by_name"], {"name": wanted}).all()
        if not rows:
            raise NotFound(_unknown_name(wanted, _nearest(connection, wanted)))
        if len(rows) > 1:
            ids = " or ".join(each.id for each in rows)
            raise NotFound(f"{len(rows)} repositories are called {wanted!r}; give the id: {ids}")
        row = rows[0]
    return FoundRepository(id=row.id, full_name=row.full_name or row.id)


def load_repositories(
    connection: "DriverConnection", path: str, rows: Sequence[LoadedRow]
) -> LoadOutcome:
    """Add and update repositories; the order of renames and swaps does not matter.

    Raises:
        SetupInvalid: the table belongs to a service.
        FileInvalid: rows of the file at `path` contradict each other or the table.
    """
    require_stand_alone(connection)
    execute(connection, _SQL["make_loaded"])
    _copy(connection, rows)
    execute(connection, _SQL["analyze_loaded"])
    execute(connection, _SQL["match_loaded"])
    _refuse_conflicts(connection, path)
    execute(connection, _SQL["free_names"])
    updated = execute(connection, _SQL["update_known"]).rowcount
    added = execute(connection, _SQL["insert_new"]).rowcount
    return LoadOutcome(added=added, updated=updated, unchanged=len(rows) - added - updated)


def require_stand_alone(connection: "AnyConnection") -> None:
    """Refuse a table of repositories that is not the reconciler's own.

    Raises:
        SetupInvalid: it belongs to a service.
    """
    if not execute(connection, _SQL["is_stand_alone"]).scalar():
        raise SetupInvalid(
            "the table of repositories belongs to a service, which maintains it; "
            "load the file into a stand-alone database"
        )


def list_repositories(
    connection: "AnyConnection",
    *,
    owner: str | None = None,
    category: Category | None = None,
    only_test: bool = False,
    eligible_for: str | None = None,
    limit: int | None = None,
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
        ListedRepository(**{**row._asdict(), "category": Category(row.category)})
        for row in execute(connection, _SQL["list"], parameters)
    ]


def _copy(connection: "DriverConnection", rows: Iterable[LoadedRow]) -> None:
    columns = ", ".join(field.name for field in fields(LoadedRow))
    statement = f"COPY pg_temp.loaded ({columns}) FROM STDIN"
    connection.copy(statement, map(astuple, rows))


def _refuse_conflicts(connection: "AnyConnection", path: str) -> None:
    twice = (
        Finding(
            row.line,
            1,
            f"this row is the same repository as line {row.first_line}; remove one of the two",
        )
        for row in execute(connection, _SQL["ambiguous"])
    )
    taken = (
        Finding(
            row.line,
            1,
            f"{row.full_name} is the name of another repository (id {row.id}, "
            f"GitHub id {row.github_id or 'unknown'}); add that repository's new name to the file",
        )
        for row in execute(connection, _SQL["conflicts"])
    )
    if findings := (*twice, *taken):
        raise FileInvalid(path, findings)


def _nearest(connection: "AnyConnection", wanted: str) -> list[str]:
    """Return the most similar known names, the most similar first."""
    owner, _, name = wanted.partition("/")
    rows = execute(
        connection,
        _SQL["candidates"],
        {
            "owner": owner,
            "name": name or owner,
            "beginning": wanted[:_BEGINNING_LENGTH],
            "most": _MOST_CANDIDATES,
        },
    )
    spelled = {name.lower(): name for name in rows.scalars() if name}
    known = sorted(spelled)
    near = get_close_matches(wanted.lower(), known, _MOST_SUGGESTIONS, _SUGGESTION_CUTOFF)
    same_name = [each for each in known if each.partition("/")[2] == (name or owner).lower()]
    return [spelled[each] for each in dict.fromkeys([*near, *same_name])][:_MOST_SUGGESTIONS]


def _unknown_name(wanted: str, nearest: list[str]) -> str:
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in wanted)
    if not nearest:
        return f"no repository is called {shown!r}; give owner/name or an id"
    return f"no repository is called {shown!r}, did you mean {' or '.join(nearest)}?"
