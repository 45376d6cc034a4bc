"""The origin of a deciding list entry: its text in the file, its line, and the apply that added it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.database.history import read_newest_entry
from reconciler.errors import ReconcilerError
from reconciler.rollout_file.list_entries import entry_key
from reconciler.rollout_file.reader import read_rollout_file

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from reconciler.database.driver import AnyConnection
    from reconciler.rollout_file.model import Rollout


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a list entry; each unknown value is None."""

    entry: str
    """As in the file, or as in the history if the file does not have it."""
    file: str | None = None
    line: int | None = None
    """Counted from 1."""
    generation: int | None = None
    commit: str | None = None
    by: str | None = None
    at: datetime | None = None


def find_origin(
    connection: "AnyConnection", file: Path, feature: str, list_name: str, keys: "Collection[str]"
) -> Origin | None:
    """Return the origin of the list entry that includes a repository; None if none is found.

    Args:
        connection: a connection to the database.
        file: the rollout file; it need not exist or be valid.
        feature: the feature of the list.
        list_name: `whitelist` or `exclusions`.
        keys: the id, the name and the pattern of the repository, in lower case.
    """
    found = read_newest_entry(connection, feature, list_name, keys)
    entry, line = _in_file(file, feature, list_name, keys)
    if found is None:
        return None if entry is None else Origin(entry, str(file), line)
    details = found.details
    return Origin(
        entry or str(details.get("entry") or _of_creation(details, list_name, keys)),
        None if entry is None else str(file),
        line,
        details.get("generation"),
        details.get("commit"),
        found.triggered_by,
        found.created_at,
    )


def _of_creation(
    details: "Mapping[str, Any]", list_name: str, keys: "Collection[str]"
) -> str | None:
    """Return the entry with one of the keys in the list with which a feature was created."""
    created = details.get("after", {}).get(list_name, ())
    return next((each for each in created if entry_key(each) in keys), None)


def _in_file(
    file: Path, feature: str, list_name: str, keys: "Collection[str]"
) -> tuple[str | None, int | None]:
    try:
        document = read_rollout_file(file)
    except ReconcilerError:
        return None, None
    rollout: Rollout = document.rollout
    if feature not in rollout.features:
        return None, None
    for index, entry in enumerate(getattr(rollout.features[feature], list_name)):
        if entry_key(entry) in keys:
            place = document.places.get(("features", feature, list_name, index))
            return entry, None if place is None else place.line
    return None, None
