"""The edits: functions from the file's bytes to its bytes with one change.

Each finds the place, splices the text and reads the result again; it refuses a result that is not exactly
the desired change. An edit without a change returns the same bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import yaml

from reconciler.errors import NotFound
from reconciler.rollout_file.characters import quoted
from reconciler.rollout_file.editing import text_changes
from reconciler.rollout_file.editing.editable_text import (
    Keys,
    Slot,
    Source,
    Value,
    open_source,
    spliced,
)
from reconciler.rollout_file.list_entries import entry_key
from reconciler.rollout_file.override import Override
from reconciler.wording import exact_time

_FEATURE_DEPTH = 2


def with_override(source: bytes, feature: str, override: Override) -> bytes:
    """Return the file with this override of a feature, in place of a present one.

    A new block follows all other keys of the feature.

    Raises:
        EditRefused: it can't be written without touching more, or the file would not be accepted.
        FileInvalid: the file is not accepted as it is.
        NotFound: the file has no such feature.
    """
    return _with(source, ("features", feature, "override"), _override_values(override))


def without_override(source: bytes, feature: str) -> bytes:
    """Return the file without a feature's override.

    Raises:
        EditRefused: it can't be removed without touching more.
        FileInvalid: the file is not accepted as it is.
        NotFound: the file has no such feature.
    """
    return without_value(source, ("features", feature, "override"))


def with_value(source: bytes, path: Keys, value: Value) -> bytes:
    """Return the file with a key set; a new key follows the format's order of keys.

    Raises:
        EditRefused: it can't be set without touching more, or the file would not be accepted.
        FileInvalid: the file is not accepted as it is.
        NotFound: the path leads through a feature that the file does not have.
    """
    return _with(source, path, Decimal(value) if type(value) is int else value)


def with_table(source: bytes, path: Keys, values: Mapping[str, Any]) -> bytes:
    """Return the file with a mapping at a key, in place of a present one.

    Raises:
        EditRefused: it can't be written without touching more, or the file would not be accepted.
        FileInvalid: the file is not accepted as it is.
    """
    return _with(source, path, dict(values))


def without_value(source: bytes, path: Keys) -> bytes:
    """Return the file without a key and its value; an emptied mapping is written `{}`.

    Raises:
        EditRefused: it can't be removed without touching more, or the file would not be accepted.
        FileInvalid: the file is not accepted as it is.
        NotFound: the path leads through a feature that the file does not have.
    """
    opened = open_source(source)
    chain = _chain(opened, path)
    if len(chain) <= len(path):
        return source
    expected = _changed(opened.values, path[:-1], lambda table: _without(table, path[-1]))
    return spliced(opened, text_changes.remove_key(opened, chain), expected)


def with_entries(source: bytes, path: Keys, entries: Sequence[str]) -> bytes:
    """Return the file with entries added at the end of a list.

    An entry that the list has already, in any case, is not added again; an absent list is created.

    Raises:
        EditRefused: they can't be added without touching more, or the file would not be accepted.
        FileInvalid: the file is not accepted as it is.
        NotFound: the path leads through a feature that the file does not have.
    """
    opened = open_source(source)
    chain = _chain(opened, path)
    items = chain[-1].value if len(chain) > len(path) else None
    there = {entry_key(each.value) for each in items.value} if items is not None else set()
    wanted = {entry_key(each): each for each in reversed(entries)}
    new = [each for key, each in reversed(wanted.items()) if key not in there]
    if not new:
        return source
    if not isinstance(items, yaml.SequenceNode):
        return _with(source, path, tuple(new))
    expected = _changed(opened.values, path, lambda old: (*old, *new))
    return spliced(opened, text_changes.add_entries(opened, chain, items, new), expected)


def without_entries(source: bytes, path: Keys, entries: Sequence[str]) -> bytes:
    """Return the file with entries removed from a list, in any case; an emptied list is written `[]`.

    Raises:
        EditRefused: they can't be removed without touching more.
        FileInvalid: the file is not accepted as it is.
        NotFound: the path leads through a feature that the file does not have.
    """
    opened = open_source(source)
    chain = _chain(opened, path)
    items = chain[-1].value if len(chain) > len(path) else None
    unwanted = {entry_key(each) for each in entries}
    written = [] if items is None else items.value
    gone = [at for at, each in enumerate(written) if entry_key(each.value) in unwanted]
    if not gone or not isinstance(items, yaml.SequenceNode):
        return source
    expected = _changed(
        opened.values,
        path,
        lambda old: tuple(each for each in old if entry_key(each) not in unwanted),
    )
    return spliced(opened, text_changes.remove_entries(opened, chain[-1], items, gone), expected)


def with_item(source: bytes, path: Keys, item: Mapping[str, Any]) -> bytes:
    """Return the file with a mapping added at the end of a list; an absent list is created.

    Raises:
        EditRefused: it can't be added without touching more, or the file would not be accepted.
        FileInvalid: the file is not accepted as it is.
    """
    opened = open_source(source)
    chain = _chain(opened, path)
    items = chain[-1].value if len(chain) > len(path) else None
    if not isinstance(items, yaml.SequenceNode):
        return _with(source, path, (dict(item),))
    expected = _changed(opened.values, path, lambda old: (*old, dict(item)))
    return spliced(opened, text_changes.add_entries(opened, chain, items, [item]), expected)


def without_item(source: bytes, path: Keys, position: int) -> bytes:
    """Return the file without the item of a list at a position; an emptied list is written `[]`.

    Raises:
        EditRefused: it can't be removed without touching more.
        FileInvalid: the file is not accepted as it is.
    """
    opened = open_source(source)
    chain = _chain(opened, path)
    items = chain[-1].value
    assert isinstance(items, yaml.SequenceNode)  # noqa: S101 - the reader has found its items
    expected = _changed(opened.values, path, lambda old: (*old[:position], *old[position + 1 :]))
    splices = text_changes.remove_entries(opened, chain[-1], items, [position])
    return spliced(opened, splices, expected)


def _override_values(override: Override) -> dict[str, Value]:
    values: dict[str, Value | None] = {
        "id": str(override.id),
        "percentage": override.percentage,
        "emergency_stop": override.emergency_stop,
        "reason": override.reason,
        "by": override.by,
        "at": exact_time(override.at),
    }
    return {key: value for key, value in values.items() if value is not None}


def _with(source: bytes, path: Keys, value: Any) -> bytes:
    opened = open_source(source)
    chain = _chain(opened, path)
    expected = _changed(opened.values, path, lambda _: value)
    if expected == opened.values:
        return source
    if len(chain) <= len(path):
        missing = path[len(chain) - 1 :]
        for key in reversed(missing[1:]):
            value = {key: value}
        splices = text_changes.add_key(opened, chain, path[: len(chain) - 1], missing[0], value)
    elif isinstance(value, dict):
        splices = text_changes.replace_table(opened, chain, value)
    else:
        splices = text_changes.replace_scalar(opened, chain[-1].value, value)
    return spliced(opened, splices, expected)


def _chain(source: Source, path: Keys) -> list[Slot]:
    """Return the values along a path, up to the last one that exists."""
    chain = [Slot(None, source.root)]
    for part in path:
        node = chain[-1].value
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next((Slot(key, value) for key, value in pairs if key.value == part), None)
        if found is None:
            break
        chain.append(found)
    if path[0] == "features" and len(chain) <= _FEATURE_DEPTH:
        raise NotFound(f"the file has no feature {quoted(path[1])}; name one that it has")
    return chain


def _changed(values: Any, path: Keys, change: Callable[[Any], Any]) -> Any:
    """Return values with the value at a path changed; `change` gets None for an absent value."""
    if not path:
        return change(values)
    table: Mapping[str, Any] = values or {}
    return {**table, path[0]: _changed(table.get(path[0]), path[1:], change)}


def _without(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {each: value for each, value in table.items() if each != key}
