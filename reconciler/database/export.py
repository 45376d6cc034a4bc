"""The live state as a desired state.

Reads in the caller's transaction and writes nothing; the rights of a reader are enough.
"""

import json
from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING

from reconciler.database.driver import execute
from reconciler.database.live_state import read_live
from reconciler.database.queries import queries
from reconciler.planning.export import Description, Names, describe
from reconciler.planning.live_state import Live
from reconciler.rollout_file.list_entries import is_entry, is_pattern
from reconciler.rollout_file.model import Rollout
from reconciler.rollout_file.reader import parse_rollout
from reconciler.uuid_text import is_uuid

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("export")


def describe_live(connection: "AnyConnection") -> Description:
    """Return the live state as a desired state, with the differences that a file cannot express."""
    live = read_live(connection, Rollout(version=1)).live
    return describe(live, read_names(connection, _keys(live)), _read_last_file(connection))


def read_names(connection: "AnyConnection", keys: Collection[str]) -> Names:
    """Return the names of the repositories with these keys, if a name identifies one repository."""
    ids = [key for key in keys if is_uuid(key)]
    written = [key for key in keys if is_entry(key) and not is_uuid(key) and not is_pattern(key)]
    meant: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for row in execute(connection, _SQL["named"], {"ids": ids, "names": written}):
        meant[row.key][row.id] = row.full_name
    return Names(
        by_id={
            identifier: name
            for repositories in meant.values()
            for identifier, name in repositories.items()
            # In a file, a name of two repositories would not identify one of them.
            if len(repositories) == 1 and is_entry(name)
        },
        ids={key: min(meant[key]) for key in written if key in meant},
    )


def _keys(live: Live) -> set[str]:
    keys = set(live.marked)
    for feature in live.features.values():
        keys |= feature.configuration.whitelist | feature.configuration.exclusions
    return keys


def _read_last_file(connection: "AnyConnection") -> Rollout | None:
    desired = execute(connection, _SQL["last_file"]).scalar()
    if desired is None:
        return None
    # JSON is YAML, so the file's reader converts the values.
    content = json.dumps(desired, ensure_ascii=False).encode()
    return parse_rollout(content, path="the last applied file").rollout
