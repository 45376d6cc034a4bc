"""Annotations: a sentence that GitHub shows at a file's line, written as a workflow command.

The runner executes every line of output that looks like a command. So the text of a command is
escaped here, and all other output of `--format github` goes through `plain_output`, which disables
commands until a word that cannot be guessed.
"""

import os
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from reconciler.cli.render.text import for_line
from reconciler.errors import FileInvalid
from reconciler.planning.drift import Decision, describe_drift
from reconciler.planning.guards import (
    Finding,
    ListEmptied,
    TooMuchGain,
    TooMuchIncrease,
    TooMuchRemoval,
)
from reconciler.planning.plan import FeaturePlan, Plan
from reconciler.planning.stages import HealthNotPassing, StageLimited, StageNotSoaked, StageSkipped
from reconciler.rollout_file.nodes import KeyPath, Place
from reconciler.rollout_file.reader import Document
from reconciler.wording import count

MAX_OF_A_LEVEL: Final = 10
"""GitHub shows this number of errors, of warnings and of notices of a step, and silently drops the rest."""
MAX_MESSAGE: Final = 4_000
"""Characters of a message; GitHub cuts at 64 KiB."""

_LISTS = ("whitelist", "exclusions")
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
    """One sentence and its place; line and column count from 1."""

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
    """Yield annotations as lines; the last one of a level that GitHub shows counts the rest."""
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
    """Return the text in a form in which the runner finds no command."""
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


def plan_annotations(plan: Plan, document: Document) -> Iterator[Annotation]:
    """Yield the annotations for a reviewer of the file, the most urgent first within a feature."""
    for finding in plan.rule_findings:
        is_allowed = finding.guard in plan.allowed_for_all
        level = Level.NOTICE if is_allowed else Level.ERROR
        title = f"{finding.guard} {'allowed' if is_allowed else 'refused'}"
        place = _place(document.places, ("approvals",))
        yield Annotation(level, finding.message, title, document.path, place.line, place.column)
    for feature in plan.features:
        yield from _plan_findings(feature, plan, document)
        yield from _plan_drift(feature, document)
        for warning in feature.warnings:
            yield _at(document, (feature.name,), Level.WARNING, warning, feature.name)
        yield from _unresolved(feature, document)


def _plan_findings(feature: FeaturePlan, plan: Plan, document: Document) -> Iterator[Annotation]:
    for finding in feature.findings:
        is_allowed = finding.guard in plan.allowed_for(feature.name)
        level = Level.NOTICE if is_allowed else Level.ERROR
        title = f"{finding.guard} {'allowed' if is_allowed else 'refused'}"
        path = (feature.name, *_key_of(finding))
        yield _at(document, path, level, f"{feature.name}: {finding.message}", title)


def _key_of(finding: Finding) -> KeyPath:
    match finding:
        case (
            TooMuchIncrease()
            | StageSkipped()
            | StageNotSoaked()
            | StageLimited()
            | HealthNotPassing()
        ):
            return ("percentage",)
        case TooMuchRemoval() | ListEmptied():
            return (finding.list_name,)
        case TooMuchGain():
            return ("guards", "max_gain")
        case _:
            return ()


def _plan_drift(feature: FeaturePlan, document: Document) -> Iterator[Annotation]:
    for drift in feature.drift:
        is_held = drift.decision is Decision.HOLD
        level, title = (Level.ERROR, "held drift refused") if is_held else (Level.WARNING, "drift")
        message = f"{feature.name}: {describe_drift(drift)}"
        yield _at(document, (feature.name, drift.field.name), level, message, title)


def _unresolved(feature: FeaturePlan, document: Document) -> Iterator[Annotation]:
    unknown = frozenset(feature.unresolved)
    desired = document.rollout.features.get(feature.name)
    if desired is None or not unknown:
        return
    for key in _LISTS:
        for index, entry in enumerate(getattr(desired, key)):
            if entry in unknown:
                message = f"{entry} is not in the database yet"
                yield _at(document, (feature.name, key, index), Level.NOTICE, message, feature.name)


def _at(document: Document, path: KeyPath, level: Level, message: str, title: str) -> Annotation:
    place = _place(document.places, ("features", *path))
    return Annotation(
        level, message, title, file=document.path, line=place.line, column=place.column
    )


def _place(places: Mapping[KeyPath, Place], path: KeyPath) -> Place:
    """Return the place of a path, or of the nearest path around it."""
    while path not in places and path:
        path = path[:-1]
    return places[path]


def _from_the_root(file: str) -> str:
    """Return a path as GitHub wants it: from the root of the repository that is checked out."""
    workspace = os.environ.get("GITHUB_WORKSPACE")
    if workspace:
        path, root = Path(os.path.normpath(Path(file).absolute())), Path(workspace)
        if path.is_relative_to(root):
            return str(path.relative_to(root))
    return file
