"""Long lists of plain entries, which the YAML parser need not read line by line.

A list can have 100,000 lines of one form. After each of these lines the parser is in the same state. So it
reads the first and the last one, and the entries between them are taken from the text. The composer checks
that both are entries of one list. If they are not, such as in a literal text, it reads the whole text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_FEWEST_LINES: Final = 16
"""A shorter run costs more than it saves. The search reads a line at most this many times."""

_LINE: Final = r"- [A-Za-z0-9][A-Za-z0-9_./*-]*+(?=\n)"
"""A line of a list, after its indentation, whose entry is plain in YAML and ends with its line."""
_RUN: Final = re.compile(rf"^( *+){_LINE}(?:\n\1{_LINE}){{{_FEWEST_LINES - 1},}}+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run's lines: all but the first and the last are left out of a text."""

    lines: str
    indentation: int
    """The characters before each entry."""

    @property
    def number(self) -> int:
        """The number of entries that were left out."""
        return self.lines.count("\n") - 1

    @property
    def entries(self) -> list[str]:
        """Every entry of the run."""
        return [line[self.indentation :] for line in self.lines.split("\n")]


def shorten(text: str) -> tuple[str, Mapping[int, LeftOut]]:
    """Return a text with two lines of each run, and the runs by the offset of their last entry in it."""
    parts: list[str] = []
    left_out: dict[int, LeftOut] = {}
    length = end = 0
    for found in _RUN.finditer(text):
        run = LeftOut(found[0], len(found[1]) + len("- "))
        before = text[end : text.index("\n", found.start()) + 1]
        last = run.lines[run.lines.rindex("\n") + 1 :]
        left_out[length + len(before) + run.indentation] = run
        length += len(before) + len(last)
        parts += [before, last]
        end = found.end()
    return "".join([*parts, text[end:]]), left_out
