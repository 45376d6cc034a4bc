"""A rollout file's text opened for editing: the places of its values, and the splices that change it.

Offsets count characters after the byte-order mark, lines count from 0. Only a file that the reader accepts is
opened, so that it has no anchor, tag or empty value.
"""

import codecs
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import yaml

from reconciler.errors import EditRefused, FileInvalid
from reconciler.rollout_file.nodes import node_value
from reconciler.rollout_file.reader import parse_rollout

LOADER: type[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_BLANK = " \t\r\n"


Value = str | bool | int | Decimal
"""A value for a key of the file; durations, strategies and ids as texts."""
Keys = tuple[str, ...]
"""The keys that lead to a value, such as `("features", "my_feature", "percentage")`."""


class Splice(NamedTuple):
    """A range of text, from `start` to before `end`, and its new text."""

    start: int
    end: int
    text: str


class Slot(NamedTuple):
    """A value in the file with its key; the root has none."""

    key: yaml.ScalarNode | None
    value: yaml.Node


@dataclass(frozen=True, slots=True)
class Source:
    """A text with its parsed values and its lines."""

    text: str
    mark: bytes
    """The byte-order mark, or an empty text."""
    root: yaml.Node
    values: Any
    """The file's values without defaults: dictionaries, tuples, texts, decimals, booleans."""
    starts: Sequence[int] = field(repr=False)
    """The offset of each line's start."""

    def line(self, offset: int) -> int:
        """Return the line that an offset is on."""
        return bisect_right(self.starts, offset) - 1

    def line_text(self, line: int) -> str:
        """Return a line without its line break."""
        return self.text[self.starts[line] : self.line_end(line)]

    def line_end(self, line: int) -> int:
        """Return the offset of a line's break, or of the text's end."""
        return self.next_start(line) - len(self.line_break(line))

    def next_start(self, line: int) -> int:
        """Return the offset of the next line, or of the text's end."""
        return self.starts[line + 1] if line + 1 < len(self.starts) else len(self.text)

    def line_break(self, line: int) -> str:
        """Return the line break of a line; empty for a last line without one."""
        stop = self.next_start(line)
        last = self.text[max(self.starts[line], stop - 2) : stop]
        return last if last == "\r\n" else last[-1:] if last.endswith(("\r", "\n")) else ""

    def end(self, node: yaml.Node) -> int:
        """Return the offset of the end of a value's own text, before blanks and comments."""
        while is_block(node):
            last = node.value[-1]
            node = last[1] if isinstance(last, tuple) else last
        stop = int(node.end_mark.index)
        if isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}:
            written = self.text[start(node) : stop]
            stop -= len(written) - len(written.rstrip(_BLANK))
        return stop

    def refusal(self, node: yaml.Node, problem: str) -> EditRefused:
        """Return the error for a place that can't be edited."""
        line = self.line(start(node))
        column = start(node) - self.starts[line] + 1
        return EditRefused(f"line {line + 1}, column {column}: {problem}; edit the file by hand")


def open_source(content: bytes) -> Source:
    """Return a file's content, opened for editing.

    Raises:
        FileInvalid: it is not a rollout file that the reader accepts.
    """
    document = parse_rollout(content)
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    text = content[len(mark) :].decode()
    root = yaml.compose(text, Loader=LOADER)
    assert root is not None  # noqa: S101 - the reader has found a version in it
    starts = [0, *(found.end() for found in _LINE_BREAK.finditer(text))]
    if starts[-1] == len(text) and len(starts) > 1:
        starts.pop()
    return Source(text, mark, root, node_value(document.root), starts)


def spliced(source: Source, splices: Iterable[Splice], expected: Any) -> bytes:
    """Return the content with these splices, if it then has exactly the expected values.

    Raises:
        EditRefused: the reader refuses the result, or reads something else in it.
    """
    parts: list[str] = []
    position = 0
    for each in sorted(splices):
        parts += (source.text[position : each.start], each.text)
        position = each.end
    parts.append(source.text[position:])
    content = source.mark + "".join(parts).encode(errors="surrogatepass")
    try:
        document = parse_rollout(content)
    except FileInvalid as error:
        first = error.findings[0]
        raise EditRefused(
            f"the edit would make line {first.line} wrong, so nothing is written: {first.message}"
        ) from error
    if node_value(document.root) != expected:
        raise EditRefused(
            "the change can't be made without changing more of the file; edit it by hand"
        )
    return content


def start(node: yaml.Node) -> int:
    """Return the offset of a value's start."""
    return int(node.start_mark.index)


def is_block(node: yaml.Node) -> bool:
    """Return whether a value is a mapping or list in block style."""
    return isinstance(node, yaml.CollectionNode) and not node.flow_style
