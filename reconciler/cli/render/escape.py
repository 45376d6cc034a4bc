"""Making text that comes from a file, a database or git harmless where it is printed."""

import json
import re
from typing import Final

_LINE_BREAKS: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BACKTICKS: Final = re.compile("`+")


def for_terminal(text: str) -> str:
    """Return text whose control and direction characters are spelled out; line breaks stay."""
    if text.isprintable():
        return text
    return "".join(
        character if character == "\n" or character.isprintable() else _spelled(character)
        for character in text
    )


def for_line(text: str) -> str:
    """Return text for one line of a terminal: line breaks and tabs are spelled out as well."""
    return "".join(
        character if character.isprintable() else _spelled(character) for character in text
    )


def for_json(text: str) -> str:
    """Return JSON with every character escaped that acts on a terminal; its value is the same."""
    return "".join(
        character if character == "\n" or character.isprintable() else json.dumps(character)[1:-1]
        for character in text
    )


def for_markdown(text: str) -> str:
    """Return text as a code span, for a line of Markdown; in a table's cell it needs `for_cell` as well.

    In a code span nothing formats, links, mentions a person or refers to an issue.
    """
    line = for_line(text) or " "
    fence = "`" * (max(map(len, _BACKTICKS.findall(line)), default=0) + 1)
    padding = " " if "`" in (line[0], line[-1]) else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def for_cell(markdown: str) -> str:
    """Return a line of Markdown for a table's cell, which ends at each bar, also in a code span."""
    return markdown.replace("|", "\\|")


def _spelled(character: str) -> str:
    if character in _LINE_BREAKS:
        return _LINE_BREAKS[character]
    return character.encode("unicode_escape").decode("ascii")
