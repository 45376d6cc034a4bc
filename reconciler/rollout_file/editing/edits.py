"""The edits: from the file's bytes to its bytes with one thing changed.

Each finds the place, splices the text, and has the result read again; what would not be exactly the
intended change is refused. An edit that has nothing to change returns the bytes as they came.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import yaml

from reconciler.errors import NotFound
from reconciler.rollout_file.editing import blocks, flows
from reconciler.rollout_file.editing.source import (
    Slot,
    Source,
    Splice,
    is_block,
    open_source,
    spliced,
    start,
)
from reconciler.rollout_file.model import Override
from reconciler.rollout_file.names import entry_key
from reconciler.rollout_file.sentences import model_at
from reconciler.rollout_file.texts import quoted
from reconciler.rollout_file.writing import flow_text, json_text, mapping_lines, scalar_text

Value = str | bool | int | Decimal
"""What a key of the file can be set to: durations, strategies and ids as their texts."""
Path = tuple[str, ...]
"""The keys that lead to a value, such as `("features", "my_feature", "percentage")`."""

_FEATURE_DEPTH = 2


def with_override(source: bytes, feature: str, override: Override) -> bytes:
    """Return the file with this override of a feature, in place of the one that is there.

    A new block stands behind all else of the feature.

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


def with_value(source: bytes, path: Path, value: Value) -> bytes:
    """Return the file with a key set; a new key stands where the keys of the format have their order.

    Raises:
        EditRefused: it can't be set without touching more, or the file would not be accepted.
        FileInvalid: the file is not accepted as it is.
        NotFound: the path leads through a feature that the file does not have.
    """
    return _with(source, path, Decimal(value) if type(value) is int else value)


def without_value(source: bytes, path: Path) -> bytes:
    """Return the file without a key and its value; what is empty then is written `{}`.

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
    return spliced(opened, _remove_key(opened, chain), expected)


def with_entries(source: bytes, path: Path, entries: Sequence[str]) -> bytes:
    """Return the file with entries added to a list, behind those that are there.

    An entry that is there already, in any case, is not added again; a list that is absent is begun.

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
    return spliced(opened, _add_entries(opened, chain, items, new), expected)


def without_entries(source: bytes, path: Path, entries: Sequence[str]) -> bytes:
    """Return the file with entries removed from a list, in whatever case; an emptied one is `[]`.

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
    if not gone or items is None:
        return source
    expected = _changed(
        opened.values,
        path,
        lambda old: tuple(each for each in old if entry_key(each) not in unwanted),
    )
    if not is_block(items):
        return spliced(opened, flows.removed(opened, items, gone), expected)
    lead = "- +"
    splices = blocks.without_lines(
        opened, [blocks.own_lines(opened, items.value[at], items.value[at], lead) for at in gone]
    )
    if len(gone) == len(written):
        splices.append(_nothing_behind(opened, chain[-1], "[]"))
    return spliced(opened, splices, expected)


def _override_values(override: Override) -> dict[str, Value]:
    values: dict[str, Value | None] = {
        "id": str(override.id),
        "percentage": override.percentage,
        "emergency_stop": override.emergency_stop,
        "reason": override.reason,
        "by": override.by,
        "at": override.at.isoformat().replace("+00:00", "Z"),
    }
    return {key: value for key, value in values.items() if value is not None}


def _with(source: bytes, path: Path, value: Any) -> bytes:
    opened = open_source(source)
    chain = _chain(opened, path)
    expected = _changed(opened.values, path, lambda _: value)
    if expected == opened.values:
        return source
    if len(chain) <= len(path):
        missing = path[len(chain) - 1 :]
        for key in reversed(missing[1:]):
            value = {key: value}
        splices = _add_key(opened, chain, path[: len(chain) - 1], missing[0], value)
    elif isinstance(value, dict):
        splices = _replace_table(opened, chain, value)
    else:
        node = chain[-1].value
        text = _in_style(value, node)
        splices = [Splice(start(node), opened.end(node), text)]
    return spliced(opened, splices, expected)


def _chain(source: Source, path: Path) -> list[Slot]:
    """Return the values that a path leads through, as far as they are there."""
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


def _changed(values: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """Return values with what a path leads to changed; `change` is given None where nothing is."""
    if not path:
        return change(values)
    table: Mapping[str, Any] = values or {}
    return {**table, path[0]: _changed(table.get(path[0]), path[1:], change)}


def _without(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {each: value for each, value in table.items() if each != key}


def _in_style(value: Value, like: yaml.Node) -> str:
    """Return a scalar as a list or key would have it, in the quotes that its neighbour has."""
    plain = scalar_text(value)
    if not isinstance(value, str) or plain != value:
        return plain
    quote = like.style if isinstance(like, yaml.ScalarNode) else None
    return f"{quote}{value}{quote}" if quote in {"'", '"'} else plain


def _pair(owner: yaml.Node, key: str, value: Any) -> str:
    """Return a key and its value in flow style: as JSON where the file is JSON so far."""
    is_json = bool(owner.value) and all(each.style == '"' for each, _ in owner.value)
    write = json_text if is_json else flow_text
    return f"{write(key)}: {write(value)}"


def _add_entries(
    source: Source, chain: Sequence[Slot], items: yaml.SequenceNode, new: Sequence[str]
) -> list[Splice]:
    key = chain[-1].key
    if not items.value:
        return _begin_list(source, chain, items, new)
    texts = [_in_style(each, items.value[-1]) for each in new]
    if not is_block(items):
        return flows.added(source, items, len(items.value) - 1, texts)
    lead = blocks.entry_lead(source, items)
    depth = 0 if key is None else blocks.column(key)
    line = blocks.last_line(source, items, depth)
    return [blocks.lines_after(source, line, [lead + each for each in texts])]


def _begin_list(
    source: Source, chain: Sequence[Slot], items: yaml.SequenceNode, new: Sequence[str]
) -> list[Splice]:
    """Write `[]` out: in lines where its key has a line, else between its brackets."""
    owner, slot = chain[-2], chain[-1]
    texts = [scalar_text(each) for each in new]
    key = slot.key
    is_bare = source.text[start(items) : source.end(items)] == "[]"
    if key is None or not is_block(owner.value) or not is_bare:
        return flows.added(source, items, -1, texts)
    before = source.text[: start(items)].rstrip(" ")
    line = source.line(start(items))
    dash = " " * blocks.column(key) + blocks.dash_below(source, chain[:-1])
    lines = blocks.lines_after(source, line, [dash + each for each in texts])
    return [Splice(len(before), source.end(items), ""), lines]


def _nothing_behind(source: Source, slot: Slot, brackets: str) -> Splice:
    """Return the splice that writes an empty mapping or list behind a key."""
    assert slot.key is not None  # noqa: S101 - the root is never emptied: it keeps its version
    stop = source.end(slot.key)
    line_end = source.line_end(source.line(stop))
    colon = source.text.find(":", stop, line_end)
    if colon < 0 or source.text[stop:colon].strip():
        raise source.refusal(slot.key, "this key has no colon on its line")
    return Splice(colon + 1, colon + 1, f" {brackets}")


def _replace_table(source: Source, chain: Sequence[Slot], value: Mapping[str, Any]) -> list[Splice]:
    owner, slot = chain[-2], chain[-1]
    assert slot.key is not None  # noqa: S101 - only what stands behind a key is replaced
    if not is_block(owner.value):
        text = _pair(owner.value, slot.key.value, value)
        return [Splice(start(slot.key), source.end(slot.value), text)]
    first, last = blocks.own_lines(source, slot.key, slot.value, "")
    lines = _lines_of(source, chain[:-1], {slot.key.value: value})
    line_break = source.line_break(first) or "\n"
    stop = source.line_end(last)
    return [Splice(source.starts[first], stop, line_break.join(lines))]


def _remove_key(source: Source, chain: Sequence[Slot]) -> list[Splice]:
    owner, slot = chain[-2], chain[-1]
    assert slot.key is not None  # noqa: S101 - a path has at least one key
    if not is_block(owner.value):
        place = [key.value for key, _ in owner.value.value].index(slot.key.value)
        return flows.removed(source, owner.value, [place])
    splices = blocks.without_lines(source, [blocks.own_lines(source, slot.key, slot.value, "")])
    if len(owner.value.value) == 1:
        splices.append(_nothing_behind(source, owner, "{}"))
    return splices


def _add_key(
    source: Source, chain: Sequence[Slot], path: Path, key: str, value: Any
) -> list[Splice]:
    owner = chain[-1]
    pairs = owner.value.value
    after = _last_before(path, key, [each.value for each, _ in pairs])
    if not is_block(owner.value):
        return flows.added(source, owner.value, after, [_pair(owner.value, key, value)])
    lines = _lines_of(source, chain, {key: value})
    if after < 0:
        assert owner.key is not None  # noqa: S101 - in the root, version stands before every key
        line = source.line(source.end(owner.key))
    else:
        is_last = after == len(pairs) - 1
        depth = blocks.column(pairs[after][0])
        if is_last:
            depth = 0 if owner.key is None else blocks.column(owner.key)
        line = blocks.last_line(source, pairs[after][1], depth)
    return [blocks.lines_after(source, line, lines)]


def _last_before(path: Path, key: str, there: Sequence[str]) -> int:
    """Return the position of the last key that the format puts before this one, or -1."""
    order = list(model_at(path).model_fields)
    before = set(order[: order.index(key)] if key in order else order)
    return max((place for place, each in enumerate(there) if each in before), default=-1)


def _lines_of(source: Source, chain: Sequence[Slot], values: Mapping[str, Any]) -> list[str]:
    """Return the lines of a key in the mapping at the end of `chain`."""
    indent = " " * blocks.column(chain[-1].value)
    step = " " * blocks.step_below(chain)
    return list(mapping_lines(values, indent, step, blocks.dash_below(source, chain)))
