"""Editing block style, where a key or an entry has its own lines: edits add and remove whole lines.

New lines follow the last line of the previous value and the comments after it that are indented deeper than
the owning key, so that a comment about the next value stays with the next value.
"""

import re
from collections.abc import Iterable, Sequence

import yaml

from reconciler.rollout_file.editing.editable_text import Slot, Source, Splice, is_block, start

_DASH = re.compile(" *- +")
_USUAL_STEP = 2


def column(node: yaml.Node) -> int:
    """Return a value's indent, in characters."""
    return int(node.start_mark.column)


def lines_after(source: Source, line: int, lines: Sequence[str]) -> Splice:
    """Return the splice that inserts lines after a line, with its kind of line break."""
    line_break = source.line_break(line)
    position = source.next_start(line)
    if line_break:
        return Splice(position, position, "".join(each + line_break for each in lines))
    usual = source.line_break(max(0, line - 1)) or "\n"
    return Splice(position, position, "".join(usual + each for each in lines))


def without_lines(source: Source, ranges: Iterable[tuple[int, int]]) -> list[Splice]:
    """Return the splices that remove lines, from the first to the last of each range."""
    merged: list[tuple[int, int]] = []
    for first, last in ranges:
        if merged and merged[-1][1] + 1 >= first:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    splices = []
    for first, last in merged:
        begin = source.starts[first]
        if not source.line_break(last):
            begin = source.line_end(first - 1)
        splices.append(Splice(begin, source.next_start(last), ""))
    return splices


def own_lines(source: Source, item: yaml.Node, value: yaml.Node, lead: str) -> tuple[int, int]:
    """Return the first and the last line of a key or entry that shares them with nothing else.

    Raises:
        EditRefused: other text than `lead` is before it.
    """
    first = source.line(start(item))
    before = source.text[source.starts[first] : start(item)]
    if not re.fullmatch(f" *{lead}", before):
        raise source.refusal(item, "this is not on a line of its own")
    return first, source.line(source.end(value))


def last_line(source: Source, value: yaml.Node, depth: int) -> int:
    """Return the last line of a value and of the comments after it with an indent over `depth`."""
    line = last = source.line(source.end(value))
    while line + 1 < len(source.starts):
        line += 1
        text = source.line_text(line)
        bare = text.lstrip(" \t")
        if bare.startswith("#") and len(text) - len(bare) > depth:
            last = line
        elif bare:
            break
    return last


def step_below(chain: Sequence[Slot]) -> int:
    """Return the indent of keys below the last of `chain`, as elsewhere in the file."""
    for slot in reversed(chain):
        if isinstance(slot.value, yaml.MappingNode) and is_block(slot.value):
            for key, value in slot.value.value:
                if isinstance(value, yaml.MappingNode) and is_block(value):
                    return column(value) - column(key)
    return _USUAL_STEP


def dash_below(source: Source, chain: Sequence[Slot]) -> str:
    """Return the text before the entries of a new list, after its key's indent."""
    for slot in reversed(chain):
        for owner, items in _lists(slot.value):
            depth = column(items) - column(owner)
            return " " * depth + _lead(source, items).lstrip(" ")
    return " " * step_below(chain) + "- "


def entry_lead(source: Source, items: yaml.SequenceNode) -> str:
    """Return the text before an entry on its line: the indent and the dash."""
    return " " * column(items) + _lead(source, items).lstrip(" ")


def _lead(source: Source, items: yaml.SequenceNode) -> str:
    last = items.value[-1]
    line = source.line(start(last))
    before = source.text[source.starts[line] : start(last)]
    return before if _DASH.fullmatch(before) else "- "


def _lists(node: yaml.Node) -> Iterable[tuple[yaml.Node, yaml.SequenceNode]]:
    """Yield the lists in block style at any depth of block style, with their keys."""
    if isinstance(node, yaml.MappingNode) and is_block(node):
        for key, value in node.value:
            if isinstance(value, yaml.SequenceNode) and is_block(value):
                yield key, value
            else:
                yield from _lists(value)
