"""Finding the repository that somebody names, by id or by `owner/name`."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from reconciler.database.queries import queries
from reconciler.errors import NotFound
from reconciler.uuid_text import is_uuid

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("repository_lookup")

_BEGINNING_LENGTH: Final = 3
_MOST_CANDIDATES: Final = 200
_MOST_SUGGESTIONS: Final = 3
_SUGGESTION_CUTOFF: Final = 0.75
"""Names of one long owner are alike by that owner alone: about 0.7."""


@dataclass(frozen=True, slots=True)
class FoundRepository:
    """A repository that the database knows."""

    id: str
    full_name: str


def find_repository(connection: "Connection", written: str) -> FoundRepository:
    """Return the repository that is written as its id or as `owner/name`, in any case.

    Raises:
        NotFound: there is none, or more than one; the message has the nearest names, or the ids.
    """
    wanted = written.strip()
    if is_uuid(wanted):
        row = connection.execute(text(_SQL["by_id"]), {"id": wanted.lower()}).one_or_none()
        if row is None:
            raise NotFound(f"no repository has the id {wanted.lower()}")
    else:
        rows = connection.execute(text(_SQL["by_name"]), {"name": wanted}).all()
        if not rows:
            raise NotFound(_unknown_name(wanted, _nearest(connection, wanted)))
        if len(rows) > 1:
            ids = " or ".join(each.id for each in rows)
            raise NotFound(f"{len(rows)} repositories are called {wanted!r}; give the id: {ids}")
        row = rows[0]
    return FoundRepository(id=row.id, full_name=row.full_name or row.id)


def _nearest(connection: "Connection", wanted: str) -> list[str]:
    """Return the known names most like this one, the most alike first."""
    owner, _, name = wanted.partition("/")
    rows = connection.execute(
        text(_SQL["candidates"]),
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
        return f"no repository is called {shown!r}; give it as owner/name or id"
    return f"no repository is called {shown!r}, did you mean {' or '.join(nearest)}?"
