"""Text for a terminal: escaped values, labelled lines, wrapped paragraphs and tables."""

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

import click

from reconciler.escape import spelled_out
from reconciler.wording import count

_PLAIN_SENTENCE: Final = re.compile(r"(?:[\w ,.;()%→+'−/=-]|:(?!//))*")
"""Characters that mean nothing in Markdown inside a line, and make no link or mention."""
_COMMAND: Final = re.compile(r"\breconcile( --file ('[^']*'|\S+))?( -{0,2}[a-z][a-z-]*){0,4}")
"""A command line of this program in a sentence."""
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_BACKTICKS: Final = re.compile("`+")

WIDTH: Final = 100
"""Columns of a line without a terminal, and the most columns on a terminal."""
_MIN_WIDTH: Final = 40
_INDENT: Final = "    "
_LABEL_WIDTH: Final = 13
_MIN_COLUMN_WIDTH: Final = 16
"""A column of a table is wrapped to this width, not below it."""
_GAP: Final = "  "

_width: ContextVar[int | None] = ContextVar("width", default=None)


def for_terminal(text: str) -> str:
    """Return text with control and direction characters spelled out; line breaks stay."""
    return spelled_out(text, kept="\n")


def for_line(text: str) -> str:
    """Return text for one line of a terminal: line breaks and tabs are spelled out as well."""
    return spelled_out(text)


def for_json(text: str) -> str:
    """Return JSON with every character escaped that acts on a terminal or in a log; its value is the same."""
    shown = "".join(
        character if character == "\n" or character.isprintable() else json.dumps(character)[1:-1]
        for character in text
    )
    return shown.replace("##[", "#\\u0023[")


def for_markdown(text: str) -> str:
    """Return text as a code span, for a line of Markdown; a table's cell needs `for_cell` as well.

    In a code span nothing formats, links, mentions a person or refers to an issue.
    """
    line = for_line(text) or " "
    fence = "`" * (max(map(len, _BACKTICKS.findall(line)), default=0) + 1)
    padding = " " if "`" in (line[0], line[-1]) else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def sentence_for_markdown(text: str) -> str:
    """Return a sentence of the program, which may quote people: plain if nothing in it formats or links."""
    is_plain = _PLAIN_SENTENCE.fullmatch(text) and "www." not in text.lower()
    return text if is_plain else for_markdown(text)


def for_cell(markdown: str) -> str:
    """Return a line of Markdown for a table's cell, which ends at each bar, also in a code span."""
    return markdown.replace("|", "\\|")


def width() -> int:
    """Return the columns of a line: the terminal's, from 40 to 100; 100 if there is no terminal."""
    fixed = _width.get()
    if fixed is not None:
        return fixed
    if not sys.stdout.isatty():
        return WIDTH
    return min(max(shutil.get_terminal_size().columns, _MIN_WIDTH), WIDTH)


@contextmanager
def fixed_width(columns: int = WIDTH) -> Iterator[None]:
    """Render the output of the block for this number of columns, on any terminal."""
    token = _width.set(columns)
    try:
        yield
    finally:
        _width.reset(token)


def wrapped(text: str, *, indent: str = "", hanging: str = _INDENT) -> list[str]:
    """Return a sentence over as many lines as it needs; a word is never cut.

    Args:
        text: the sentence.
        indent: the beginning of every line.
        hanging: the text after `indent` on every line except the first.
    """
    return textwrap.wrap(
        text,
        width(),
        initial_indent=indent,
        subsequent_indent=f"{indent}{hanging}",
        break_long_words=False,
        break_on_hyphens=False,
    )


def fitted(text: str) -> str:
    """Return text with each long line over as many lines as it needs; neither a word nor a command is cut."""
    lines: list[str] = []
    for each in text.split("\n"):
        whole = _COMMAND.sub(lambda found: found[0].replace(" ", _NO_BREAK), each)
        indent = each[: len(each) - len(each.lstrip(" "))]
        is_long = len(each) > width()
        lines += wrapped(whole.strip(" "), indent=indent) if is_long else [each]
    return "\n".join(lines).replace(_NO_BREAK, " ")


def line(label: str, text: str) -> str:
    """Return one line, as long as its text is; the text of a long label follows it directly."""
    return f"{_INDENT}{label:<{_LABEL_WIDTH - 1}} {text}".rstrip()


def paragraph(label: str, text: str, color: str | None = None) -> Iterator[str]:
    """Yield a labelled sentence over as many lines as it needs; a word is never cut."""
    for part in textwrap.wrap(text, _room(), break_long_words=False, break_on_hyphens=False):
        yield click.style(line(label, part), fg=color)
        label = ""


def beside(beginning: str, text: str) -> list[str]:
    """Return a sentence beside a styled beginning, over as many lines as it needs."""
    indent = len(click.unstyle(beginning))
    if width() - indent < _MIN_COLUMN_WIDTH:
        return [beginning.rstrip(), *wrapped(text, indent=_INDENT * 2, hanging="")]
    parts = textwrap.wrap(text, width() - indent, break_long_words=False, break_on_hyphens=False)
    first, *rest = parts or [""]
    return [f"{beginning}{first}".rstrip(), *(f"{'':{indent}}{part}" for part in rest)]


def listed(
    label: str, entries: Iterable[str], separator: str, total: int, note: str = ""
) -> Iterator[str]:
    """Yield entries side by side, how many of `total` are not shown, and a note."""
    shown = list(entries)
    hidden = total - len(shown)
    tail = [f"… ({count(hidden)} more)"] if hidden > 0 else []
    tail += [note] if note else []
    text = ""
    for entry in [*shown, *tail]:
        candidate = f"{text}{separator}{entry}" if text else entry
        if text and len(click.unstyle(candidate)) > _room():
            yield line(label, text + separator.rstrip())
            label, candidate = "", entry
        text = candidate
    yield line(label, text)


def _room() -> int:
    return width() - len(_INDENT) - _LABEL_WIDTH


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title, and whether its values are aligned to the right."""

    title: str
    right: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> str:
    """Return rows under their titles; every row has a value for every column.

    A table that is wider than the line has the text of its left-aligned columns wrapped between words;
    if that is not enough, each row is a block with a line for each column. No name is cut.
    """
    values = [list(row) for row in rows]
    titles = [column.title for column in columns]
    widths = [max(map(len, each)) for each in zip(titles, *values, strict=True)]
    excess = sum(widths) + len(_GAP) * (len(columns) - 1) - width()
    for index in sorted(range(len(columns)), key=lambda index: -widths[index]):
        if excess > 0 and not columns[index].right:
            column_words = [word for row in values for word in row[index].split()]
            least = max(_MIN_COLUMN_WIDTH, len(titles[index]), *map(len, column_words))
            cut = min(excess, max(widths[index] - least, 0))
            widths[index] -= cut
            excess -= cut
    if excess > 0:
        return "\n\n".join("\n".join(_block(titles, row)) for row in values)
    return "\n".join(line for row in [titles, *values] for line in _row(columns, widths, row))


def _row(columns: Sequence[Column], widths: Sequence[int], row: Sequence[str]) -> Iterator[str]:
    cells = [
        textwrap.wrap(value, size, break_long_words=False, break_on_hyphens=False) or [""]
        for value, size in zip(row, widths, strict=True)
    ]
    for number in range(max(map(len, cells))):
        parts = (cell[number] if number < len(cell) else "" for cell in cells)
        yield _GAP.join(
            part.rjust(size) if column.right else part.ljust(size)
            for column, size, part in zip(columns, widths, parts, strict=True)
        ).rstrip()


def _block(titles: Sequence[str], row: Sequence[str]) -> Iterator[str]:
    first, *rest = row
    yield first
    size = max(map(len, titles)) + len(_GAP)
    for title, value in zip(titles[1:], rest, strict=True):
        yield from beside(f"{_INDENT}{title:<{size}}", value)
