"""Changes: how one configuration differs from another, value by value and entry by entry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.planning.feature_config import Configuration
from reconciler.planning.fields import LIST_FIELDS, SCALAR_FIELDS, ListField, ScalarField
from reconciler.planning.live_state import Directory

_NO_ENTRIES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ScalarChange:
    """One value changes; `before` is None where the feature is new."""

    field: ScalarField
    before: Any
    after: Any

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class ListChange:
    """Entries come and go; each is a change of its own. Maps are key → name, ordered by name."""

    field: ListField
    added: Mapping[str, str]
    removed: Mapping[str, str]
    resolved: Mapping[str, str]
    """Names that the database did not know at the last apply and knows now: id → name."""

    def __len__(self) -> int:
        return len(self.added) + len(self.removed) + len(self.resolved)


Change = ScalarChange | ListChange


def configuration_changes(
    before: Configuration | None, after: Configuration, directory: Directory
) -> tuple[Change, ...]:
    """Return what differs, field by field, in the order of the tables of fields."""
    scalars = (
        ScalarChange(field, None if before is None else field.read(before), field.read(after))
        for field in SCALAR_FIELDS
        if before is None or field.read(before) != field.read(after)
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


def named(keys: Iterable[str], directory: Directory) -> Mapping[str, str]:
    """Return keys with what people call them, ordered by that."""
    return dict(sorted(((key, directory.name(key)) for key in keys), key=lambda item: item[1]))


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
