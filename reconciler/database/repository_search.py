"""Finding a repository as a person types its name, and its last jobs.

Each question reads a bounded number of rows, also of a million repositories. Reads in the caller's
transaction and writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.database.repositories import FoundRepository
from reconciler.uuid_text import is_uuid

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("repository_search")

MOST_MATCHES: Final = 20
_LOOKED_AT: Final = 200
_MOST_JOBS: Final = 20
_WINDOWS_LOOKED_AT: Final = 50_000
MAX_QUERY_LENGTH: Final = 400
"""The longest name that is looked up, in characters."""


@dataclass(frozen=True, slots=True)
class RepositoryMatches:
    """The repositories that a text finds."""

    exact: Sequence[FoundRepository]
    """Those with exactly this name or id; several where a service keeps a deleted one."""
    beginning: Sequence[FoundRepository]
    """Those whose name begins with it, by name, at most twenty; the exact ones are among them."""


@dataclass(frozen=True, slots=True)
class LastJobs:
    """The jobs of one repository in one window of five minutes."""

    feature: str
    begins_at: datetime
    processor: str
    kind: str
    """Empty where none was reported."""
    jobs: int
    errors: int
    last_error: str | None


def find_repositories(connection: "AnyConnection", written: str) -> RepositoryMatches:
    """Return the repositories with this name or id, and those whose name begins with it."""
    wanted = written.strip()
    # Text in Postgres cannot hold NUL.
    if not wanted or len(wanted) > MAX_QUERY_LENGTH or "\0" in wanted:
        return RepositoryMatches((), ())
    if is_uuid(wanted):
        found = _find(connection, "with_id", id=wanted.lower())
        return RepositoryMatches(found, found)
    return RepositoryMatches(
        _find(connection, "named", name=wanted, most=MOST_MATCHES),
        _find(
            connection,
            "beginning_with",
            beginning=wanted,
            looked_at=_LOOKED_AT,
            most=MOST_MATCHES,
        ),
    )


def has_repositories(connection: "AnyConnection") -> bool:
    """Return whether there is a repository at all."""
    found: bool = execute(connection, _SQL["any"]).scalar()
    return found


def read_last_jobs(connection: "AnyConnection", repository_id: str) -> Sequence[LastJobs]:
    """Return the newest windows with a job of a repository in the last day, the newest first."""
    parameters = {"id": repository_id, "looked_at": _WINDOWS_LOOKED_AT, "most": _MOST_JOBS}
    rows = execute(connection, _SQL["last_jobs"], parameters)
    return tuple(LastJobs(**row._asdict()) for row in rows)


def _find(
    connection: "AnyConnection", statement: str, **parameters: object
) -> Sequence[FoundRepository]:
    rows = execute(connection, _SQL[statement], parameters)
    return tuple(FoundRepository(row.id, row.full_name or row.id) for row in rows)
