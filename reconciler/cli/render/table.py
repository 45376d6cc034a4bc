"""A table for a terminal: columns as wide as what is in them, two spaces between."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title, and on which side its values stand."""

    title: str
    right: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> str:
    """Return rows under their titles; every row has a value for every column."""
    lines = [[column.title for column in columns], *map(list, rows)]
    widths = [max(map(len, values)) for values in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            value.rjust(width) if column.right else value.ljust(width)
            for column, width, value in zip(columns, widths, line, strict=True)
        ).rstrip()
        for line in lines
    )
