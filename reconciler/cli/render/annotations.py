"""Annotations: a sentence that GitHub shows at a file's line, written as a workflow command.

The runner takes every line of output that looks like a command for one. So what a command holds is
escaped here, and all other output of `--format github` goes through `plain_output`, which has the
runner read no commands until an unguessable word.
"""

import os
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from reconciler.cli.render.escape import for_line
from reconciler.errors import FileInvalid
from reconciler.wording import count

MAX_OF_A_LEVEL: Final = 10
"""GitHub shows so many errors, warnings and notices of a step, and drops the rest unsaid."""
MAX_MESSAGE: Final = 4_000
"""Characters of a message; GitHub cuts at 64 KiB, and nobody reads so far."""

_IN_A_MESSAGE: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_A_PROPERTY: Final = str.maketrans(
    {"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"}
)


class Level(StrEnum):
    """How an annotation is shown."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One sentence, and where it belongs; line and column count from 1."""

    level: Level
    message: str
    title: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None


def workflow_command(annotation: Annotation) -> str:
    """Return an annotation as the one line that the runner reads."""
    file = None if annotation.file is None else _from_the_root(annotation.file)
    properties = (
        ("file", file),
        ("line", annotation.line),
        ("col", annotation.column),
        ("title", annotation.title),
    )
    written = ",".join(
        f"{name}={for_line(str(value)).translate(_IN_A_PROPERTY)}"
        for name, value in properties
        if value is not None
    )
    message = annotation.message
    if len(message) > MAX_MESSAGE:
        message = f"{message[:MAX_MESSAGE]} …"
    lines = "\n".join(map(for_line, message.split("\n")))
    command = f"{annotation.level} {written}" if written else annotation.level
    return f"::{command}::{lines.translate(_IN_A_MESSAGE)}"


def workflow_commands(annotations: Iterable[Annotation]) -> Iterator[str]:
    """Yield annotations as lines; the last one of a level that GitHub shows says how many more there are."""
    found = list(annotations)
    totals = Counter(each.level for each in found)
    written: Counter[Level] = Counter()
    for annotation in found:
        level, total = annotation.level, totals[annotation.level]
        written[level] += 1
        if written[level] < MAX_OF_A_LEVEL or total == MAX_OF_A_LEVEL:
            yield workflow_command(annotation)
        elif written[level] == MAX_OF_A_LEVEL:
            more = total - MAX_OF_A_LEVEL + 1
            yield workflow_command(Annotation(level, f"and {count(more)} more, see the log"))


def plain_output(text: str) -> str:
    """Return text in which the runner finds no command, whoever wrote it."""
    word = secrets.token_hex(16)
    return f"::stop-commands::{word}\n{text}\n::{word}::"


def findings_as_annotations(invalid: FileInvalid) -> Iterator[Annotation]:
    """Yield an error at the line of each finding of a file."""
    for finding in invalid.findings:
        yield Annotation(
            Level.ERROR,
            finding.message,
            file=invalid.path,
            line=finding.line,
            column=finding.column,
        )


def _from_the_root(file: str) -> str:
    """Return a path as GitHub wants it: from the root of the repository that is checked out."""
    workspace = os.environ.get("GITHUB_WORKSPACE")
    if workspace:
        path, root = Path(os.path.normpath(Path(file).absolute())), Path(workspace)
        if path.is_relative_to(root):
            return str(path.relative_to(root))
    return file
