"""From a place in the file and its new value to splices of the text.

This module chooses between block style and flow style; `block_style.py` and `flow_style.py` edit them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from reconciler.rollout_file.editing import block_style, flow_style
from reconciler.rollout_file.editing.editable_text import (
    Keys,
    Slot,
    Source,
    Splice,
    Value,
    is_block,
    start,
)
from reconciler.rollout_file.model_findings import model_at
from reconciler.rollout_file.yaml_writer import flow_text, json_text, mapping_lines, scalar_text


def replace_scalar(source: Source, node: yaml.Node, value: Value) -> list[Splice]:
    """Return the splices that write another scalar in a scalar's place."""
    return [Splice(start(node), source.end(node), _in_style(value, node))]


def replace_table(source: Source, chain: Sequence[Slot], value: Mapping[str, Any]) -> list[Splice]:
    """Return the splices that write another mapping in place of the one at the end of `chain`."""
    owner, slot = chain[-2], chain[-1]
    assert slot.key is not None  # noqa: S101 - only a key's value is replaced
    if not is_block(owner.value):
        text = _pair(source, owner.value, slot.key.value, value)
        return [Splice(start(slot.key), source.end(slot.value), text)]
    first, last = block_style.own_lines(source, slot.key, slot.value, "")
    lines = _lines_of(source, chain[:-1], {slot.key.value: value})
    line_break = source.line_break(first) or "\n"
    stop = source.line_end(last)
    return [Splice(source.starts[first], stop, line_break.join(lines))]


def add_key(
    source: Source, chain: Sequence[Slot], path: Keys, key: str, value: Any
) -> list[Splice]:
    """Return the splices that add a key to the mapping at `path`, the end of `chain`."""
    owner = chain[-1]
    pairs = owner.value.value
    after = _last_before(path, key, [each.value for each, _ in pairs])
    if not is_block(owner.value):
        return flow_style.added(
            source, owner.value, after, [_pair(source, owner.value, key, value)]
        )
    lines = _lines_of(source, chain, {key: value})
    if after < 0:
        assert owner.key is not None  # noqa: S101 - in the root, version stands before every key
        line = source.line(source.end(owner.key))
    else:
        is_last = after == len(pairs) - 1
        depth = block_style.column(pairs[after][0])
        if is_last:
            depth = 0 if owner.key is None else block_style.column(owner.key)
        line = block_style.last_line(source, pairs[after][1], depth)
    return [block_style.lines_after(source, line, lines)]


def remove_key(source: Source, chain: Sequence[Slot]) -> list[Splice]:
    """Return the splices that remove the key at the end of `chain`, with its value.

    Raises:
        EditRefused: it shares its lines with something else.
    """
    owner, slot = chain[-2], chain[-1]
    assert slot.key is not None  # noqa: S101 - a path has at least one key
    if not is_block(owner.value):
        place = [key.value for key, _ in owner.value.value].index(slot.key.value)
        return flow_style.removed(source, owner.value, [place])
    splices = block_style.without_lines(
        source, [block_style.own_lines(source, slot.key, slot.value, "")]
    )
    if len(owner.value.value) == 1:
        splices.append(_nothing_behind(source, owner, "{}"))
    return splices


def add_entries(
    source: Source,
    chain: Sequence[Slot],
    items: yaml.SequenceNode,
    new: Sequence[str | Mapping[str, Any]],
) -> list[Splice]:
    """Return the splices that add entries to the end of the list at the end of `chain`."""
    key = chain[-1].key
    if not items.value:
        return _begin_list(source, chain, items, new)
    like = items.value[-1]
    texts = [_in_style(each, like) if isinstance(each, str) else flow_text(each) for each in new]
    if not is_block(items):
        return flow_style.added(source, items, len(items.value) - 1, texts)
    lead = block_style.entry_lead(source, items)
    depth = 0 if key is None else block_style.column(key)
    line = block_style.last_line(source, items, depth)
    return [block_style.lines_after(source, line, [lead + each for each in texts])]


def remove_entries(
    source: Source, slot: Slot, items: yaml.SequenceNode, gone: Sequence[int]
) -> list[Splice]:
    """Return the splices that remove a list's entries by their positions, which rise.

    Raises:
        EditRefused: one shares its lines with something else.
    """
    if not is_block(items):
        return flow_style.removed(source, items, gone)
    entries = [items.value[position] for position in gone]
    splices = block_style.without_lines(
        source, [block_style.own_lines(source, each, each, "- +") for each in entries]
    )
    if len(gone) == len(items.value):
        splices.append(_nothing_behind(source, slot, "[]"))
    return splices


def _begin_list(
    source: Source,
    chain: Sequence[Slot],
    items: yaml.SequenceNode,
    new: Sequence[str | Mapping[str, Any]],
) -> list[Splice]:
    """Return the splices that fill an empty `[]`: in lines if its key has a line, else in its brackets."""
    owner, slot = chain[-2], chain[-1]
    key = slot.key
    is_bare = source.text[start(items) : source.end(items)] == "[]"
    if key is None or not is_block(owner.value) or not is_bare:
        write = json_text if _is_json(source, owner.value) else flow_text
        return flow_style.added(source, items, -1, list(map(write, new)))
    before = source.text[: start(items)].rstrip(" ")
    line = source.line(start(items))
    dash = " " * block_style.column(key) + block_style.dash_below(source, chain[:-1])
    lines = block_style.lines_after(source, line, [dash + flow_text(each) for each in new])
    return [Splice(len(before), source.end(items), ""), lines]


def _nothing_behind(source: Source, slot: Slot, brackets: str) -> Splice:
    """Return the splice that writes an empty mapping or list after a key."""
    assert slot.key is not None  # noqa: S101 - the root is never emptied: it keeps its version
    stop = source.end(slot.key)
    line_end = source.line_end(source.line(stop))
    colon = source.text.find(":", stop, line_end)
    if colon < 0 or source.text[stop:colon].strip():
        raise source.refusal(slot.key, "this key has no colon on its line")
    return Splice(colon + 1, colon + 1, f" {brackets}")


def _last_before(path: Keys, key: str, there: Sequence[str]) -> int:
    """Return the position of the last key that the format puts before this one, or -1."""
    order = list(model_at(path).model_fields)
    before = set(order[: order.index(key)] if key in order else order)
    return max((place for place, each in enumerate(there) if each in before), default=-1)


def _lines_of(source: Source, chain: Sequence[Slot], values: Mapping[str, Any]) -> list[str]:
    """Return the lines of a key in the mapping at the end of `chain`."""
    indent = " " * block_style.column(chain[-1].value)
    step = " " * block_style.step_below(chain)
    return list(mapping_lines(values, indent, step, block_style.dash_below(source, chain)))


def _in_style(value: Value, like: yaml.Node) -> str:
    """Return a scalar's text in the quotes of its neighbour."""
    plain = scalar_text(value)
    if not isinstance(value, str) or plain != value:
        return plain
    quote = like.style if isinstance(like, yaml.ScalarNode) else None
    return f"{quote}{value}{quote}" if quote in {"'", '"'} else plain


def _pair(source: Source, owner: yaml.Node, key: str, value: Any) -> str:
    """Return a key and its value in flow style: as JSON if the mapping is written as JSON."""
    write = json_text if _is_json(source, owner) else flow_text
    return f"{write(key)}: {write(value)}"


def _is_json(source: Source, owner: yaml.Node) -> bool:
    """Return whether a mapping in flow style is written as JSON; an empty one follows the file."""
    keys = [key for key, _ in owner.value or source.root.value]
    return all(key.style == '"' for key in keys)
