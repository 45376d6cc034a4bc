"""What an edit does to a file, as a unified diff."""

import difflib
from collections.abc import Iterator

import click

from reconciler.cli.render.escape import for_line

_COLORS = {"-": "red", "+": "green", "@": "cyan"}


def file_diff(path: str, before: bytes, after: bytes) -> str:
    """Return the diff of a file's content, a line break that is no line feed spelled out."""
    return "\n".join(_lines(path, before.decode(), after.decode()))


def _lines(path: str, before: str, after: str) -> Iterator[str]:
    name = for_line(path)
    both = (text.split("\n") for text in (before, after))
    old, new = ([*(f"{line}\n" for line in lines[:-1]), *lines[-1:]] for lines in both)
    for line in difflib.unified_diff(
        [each for each in old if each], [each for each in new if each], name, name
    ):
        shown = for_line(line.removesuffix("\n"))
        yield click.style(shown, fg=_COLORS.get(line[0]))
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"
