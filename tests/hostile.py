"""Hostile texts that any person or program can write, and what each kind of output may not let them do."""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

TEXTS: Final = {
    "terminal": "\x1b[31m\x1b]0;evil\x07 \x9b2J evil",
    "direction": "\u202elive\u202c \u2066evil\u2069 \u200f",
    "lines": "evil\n::error::evil\r\n\n# evil\tevil",
    "markdown": "`a` | ![evil](//evil.io/x) @evil #1",
    "link": "](https://evil.io) **a** [evil](//evil.io)",
    "markup": "</td></script><img src=//evil.io/x onerror=evil>",
    "attribute": "\" onload='evil' x=\"<script>evil()</script>",
    "formula": '=HYPERLINK("//evil.io";"evil")',
    "command": "%0A::set-env name=EVIL::evil ##[error]evil --evil",
    "metrics": 'evil"} 1\nevil_metric{a="\\',
    "template": "{{evil}} ${evil} %(evil)s %s <!channel>",
}
"""Each has at most 50 characters, so that every column takes it, and the word evil where it would act."""

_FORMULA: Final = re.compile(r"\s*[=+\-@＝＋－＠]")
_STOPPED: Final = re.compile(r"^::stop-commands::(\w{32})\n.*?^::\1::$", re.MULTILINE | re.DOTALL)
_ANNOTATION: Final = re.compile(r"::(error|warning|notice)( [\w=.,: -]*)?::(?!error::)")
_IN_TEXT: Final = re.compile(r"@evil|#1\b|evil\.io")
"""What a hosting service links, or takes as a mention, in plain text."""


def acts_on_a_terminal(shown: str) -> bool:
    """Return whether a text controls a terminal or changes the order of reading."""
    lines = shown.replace("\r\n", "\n").removeprefix("\ufeff")
    return any(each != "\n" and unicodedata.category(each) in {"Cc", "Cf"} for each in lines)


def acts_on_a_runner(shown: str) -> bool:
    """Return whether GitHub's runner finds a command that the program did not mean in a log."""
    plain = _STOPPED.sub("", shown)
    commands = (line for line in plain.splitlines() if line.lstrip().startswith("::"))
    return "##[" in plain or any(not _ANNOTATION.match(each) for each in commands)


def acts_in_markdown(text: str) -> bool:
    """Return whether a comment would link, notify, or have markup of a hostile text."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    return any(_acts(each) for each in _flat(tokens))


def acts_in_a_page(page: str) -> bool:
    """Return whether a page has an element or an attribute of a hostile text."""
    reader = _Elements()
    reader.feed(page)
    return reader.is_hostile


def acts_in_a_spreadsheet(text: str) -> bool:
    """Return whether a cell is a formula, and not a number."""
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    return any(
        _FORMULA.match(cell) and not re.fullmatch(r"-?[\d.]+", cell) for row in rows for cell in row
    )


def is_json(text: str) -> bool:
    """Return whether a text is one JSON value."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _flat(token.children or [])


def _acts(token: Token) -> bool:
    if token.type in {"code_inline", "fence", "code_block", "inline"}:
        return False
    written = token.content + " ".join(map(str, token.attrs.values()))
    if token.type in {"link_open", "image", "html_inline", "html_block"}:
        return "evil" in written
    return bool(_IN_TEXT.search(written))


class _Elements(HTMLParser):
    is_hostile = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.is_hostile |= any(
            name.startswith("on") or re.match(r"(https?:)?//|javascript:", value or "")
            for name, value in attrs
        )

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is not None:
            self.is_hostile |= "evil" in data
