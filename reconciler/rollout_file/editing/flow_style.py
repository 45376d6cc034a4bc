"""Editing flow style, `[a, b]` and `{a: 1}`: an item is added or removed with its comma.

Items on their own lines stay on their own lines; all others change within their line.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

import yaml

from reconciler.rollout_file.editing.block_style import without_lines
from reconciler.rollout_file.editing.editable_text import Source, Splice, start

_LINE_BREAK = re.compile("[\r\n]")

Item = tuple[yaml.Node, yaml.Node]
"""An item's first and last node: a key and its value, or an entry twice."""


def items_of(node: yaml.Node) -> list[Item]:
    """Return the items between a mapping's or list's brackets."""
    return [each if isinstance(each, tuple) else (each, each) for each in node.value]


def added(source: Source, node: yaml.Node, after: int, texts: Sequence[str]) -> list[Splice]:
    """Return the splices that insert items after the item at `after`, or with -1 before all."""
    items = items_of(node)
    if not items:
        inside = start(node) + 1
        space = " " if source.text[inside] == "#" else ""
        return [Splice(inside, inside, ", ".join(texts) + space)]
    if after < 0:
        first = start(items[0][0])
        return [Splice(first, first, "".join(f"{each}, " for each in texts))]
    stop = source.end(items[after][1])
    comma = _comma_after(source, node, items, after)
    if _begins_a_line(source, items[after][0]) and _ends_a_line(source, stop, comma):
        line = source.line(stop)
        first_line = source.line(start(items[after][0]))
        lead = source.text[source.starts[first_line] : start(items[after][0])]
        line_break = source.line_break(line)
        ends = [","] * (len(texts) - 1) + ["," if comma is not None else ""]
        lines = [f"{lead}{text}{end}{line_break}" for text, end in zip(texts, ends, strict=True)]
        position = source.next_start(line)
        splices = [Splice(position, position, "".join(lines))]
        return splices if comma is not None else [Splice(stop, stop, ","), *splices]
    return [Splice(stop, stop, "".join(f", {each}" for each in texts))]


def removed(source: Source, node: yaml.Node, gone: Sequence[int]) -> list[Splice]:
    """Return the splices that remove items by their positions, which rise."""
    items = items_of(node)
    if all(_has_own_lines(source, node, items, each) for each in gone):
        return _remove_lines(source, node, items, gone)
    splices = []
    for first, last in _runs(gone):
        splices.append(_remove_run(source, node, items, first, last))
    return splices


def _remove_lines(
    source: Source, node: yaml.Node, items: list[Item], gone: Sequence[int]
) -> list[Splice]:
    splices = without_lines(
        source,
        [
            (source.line(start(items[each][0])), source.line(source.end(items[each][1])))
            for each in gone
        ],
    )
    last = len(items) - 1
    if gone[-1] == last and _comma_after(source, node, items, last) is None:
        kept = max(set(range(last)) - set(gone), default=None)
        comma = None if kept is None else _comma_after(source, node, items, kept)
        if comma is not None:
            splices.append(Splice(comma, comma + 1, ""))
    return splices


def _remove_run(
    source: Source, node: yaml.Node, items: list[Item], first: int, last: int
) -> Splice:
    begin, stop = start(items[first][0]), source.end(items[last][1])
    if first > 0:
        before = source.end(items[first - 1][1])
        if not _LINE_BREAK.search(source.text[before:begin]):
            return Splice(before, stop, "")
    if last + 1 < len(items):
        following = start(items[last + 1][0])
        if first == 0 and not _LINE_BREAK.search(source.text[stop:following]):
            return Splice(begin, following, "")
    comma = _comma_after(source, node, items, last)
    return Splice(begin, stop if comma is None else comma + 1, "")


def _runs(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last of each stretch of positions without a gap."""
    bounds = [positions[0]]
    for before, following in pairwise(positions):
        if following != before + 1:
            bounds += (before, following)
    bounds.append(positions[-1])
    return list(zip(bounds[::2], bounds[1::2], strict=True))


def _has_own_lines(source: Source, node: yaml.Node, items: list[Item], position: int) -> bool:
    comma = _comma_after(source, node, items, position)
    return _begins_a_line(source, items[position][0]) and _ends_a_line(
        source, source.end(items[position][1]), comma
    )


def _begins_a_line(source: Source, node: yaml.Node) -> bool:
    line_start = source.starts[source.line(start(node))]
    return not source.text[line_start : start(node)].strip(" \t")


def _ends_a_line(source: Source, stop: int, comma: int | None) -> bool:
    line = source.line(stop)
    if comma is not None and source.line(comma) != line:
        return False
    rest = source.text[stop if comma is None else comma + 1 : source.line_end(line)].lstrip(" \t")
    return bool(source.line_break(line)) and rest[:1] in {"", "#"}


def _comma_after(source: Source, node: yaml.Node, items: list[Item], position: int) -> int | None:
    """Return the place of the comma after an item; blanks and comments can be before it."""
    offset = source.end(items[position][1])
    stop = source.end(node) - 1
    while offset < stop:
        if source.text[offset] == ",":
            return offset
        if source.text[offset] == "#":
            offset = source.line_end(source.line(offset))
        offset += 1
    return None
