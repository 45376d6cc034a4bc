"""The differences between two configurations, field by field."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from reconciler.planning.feature_config import (
    LIST_FIELDS,
    SCALAR_FIELDS,
    Configuration,
    ListField,
    ScalarField,
)
from reconciler.planning.field_types import Direction
from reconciler.planning.live_state import Directory
from rollout_client.targeting.strategy import Strategy

_NO_ENTRIES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ScalarChange:
    """A changed value; `before` is None for a new feature."""

    field: ScalarField
    before: Any
    after: Any

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class ListChange:
    """Added and removed entries of a list; each is one change. Maps are key → name, ordered by name."""

    field: ListField
    added: Mapping[str, str]
    removed: Mapping[str, str]
    resolved: Mapping[str, str]
    """Names that the database did not know at the last apply and knows now: id → name."""

    def __len__(self) -> int:
        return len(self.added) + len(self.removed) + len(self.resolved)


Change = ScalarChange | ListChange


def _is_listed(field: ScalarField, before: Configuration | None, after: Configuration) -> bool:
    """Return whether a plan lists a value: it differs, or the feature is new."""
    if before is not None:
        return bool(field.read(before) != field.read(after))
    return not field.is_quiet_at_default or field.read(after) != field.default("")


def configuration_changes(
    before: Configuration | None, after: Configuration, directory: Directory
) -> tuple[Change, ...]:
    """Return the differences, field by field, in the order of the table of fields."""
    scalars = (
        ScalarChange(field, None if before is None else field.read(before), field.read(after))
        for field in SCALAR_FIELDS
        if _is_listed(field, before, after)
    )
    lists = (
        _list_change(
            field,
            _NO_ENTRIES if before is None else field.read(before),
            field.read(after),
            directory,
        )
        for field in LIST_FIELDS
    )
    return (*scalars, *(change for change in lists if len(change)))


def widens(change: Change, after: Configuration) -> bool:
    """Return whether a change may let repositories in, by its field; the audience is not counted."""
    match change:
        case ScalarChange(field, before, value):
            if field.name == "percentage" and after.strategy is Strategy.WHITELIST:
                return False
            before = field.default("") if before is None else before
            return value != before and field.direction(before, value) is Direction.WIDENS
        case ListChange(field, added, removed):
            return bool(added if field.adding is Direction.WIDENS else removed)


def named(keys: Iterable[str], directory: Directory) -> Mapping[str, str]:
    """Return keys with their names for people, ordered by name."""
    listed = list(keys)
    # A list can have 100,000 entries; `map` calls `get` without a step of the interpreter for each.
    names = map(directory.names.get, listed, listed)
    return dict(sorted(zip(listed, names, strict=True), key=itemgetter(1)))


def _list_change(
    field: ListField, before: frozenset[str], after: frozenset[str], directory: Directory
) -> ListChange:
    added, removed = after - before, before - after
    resolved = {key: directory.ids[key] for key in removed if directory.ids.get(key) in added}
    return ListChange(
        field=field,
        added=named(added.difference(resolved.values()), directory),
        removed=named(removed.difference(resolved), directory),
        resolved=named(resolved.values(), directory),
    )
