"""Lines of a terminal: a label, and text laid out beside it within `WIDTH` columns."""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

import click

from reconciler.wording import count

_INDENT: Final = "    "
WIDTH: Final = 100
"""No line of output is longer, unless a name is."""

_LABEL_WIDTH: Final = 13
_ROOM: Final = WIDTH - len(_INDENT) - _LABEL_WIDTH


def line(label: str, text: str) -> str:
    """Return one line, as long as its text is; a long label has its text right behind it."""
    return f"{_INDENT}{label:<{_LABEL_WIDTH - 1}} {text}".rstrip()


def paragraph(label: str, text: str, color: str | None = None) -> Iterator[str]:
    """Yield a sentence over as many lines as it needs; a word is never cut."""
    for part in textwrap.wrap(text, _ROOM, break_long_words=False, break_on_hyphens=False):
        yield click.style(line(label, part), fg=color)
        label = ""


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
        if text and len(click.unstyle(candidate)) > _ROOM:
            yield line(label, text + separator.rstrip())
            label, candidate = "", entry
        text = candidate
    yield line(label, text)
