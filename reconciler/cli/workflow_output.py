"""Output of `--format github`: annotations and plain text in the log, Markdown in the job's summary.

Errors are annotations too, so that the pull request shows them and not only the log.
"""

import os
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from reconciler.cli.options import Settings
from reconciler.cli.output import print_result
from reconciler.cli.render.annotations import (
    Annotation,
    Level,
    findings_as_annotations,
    plain_output,
    workflow_commands,
)
from reconciler.errors import FileInvalid, ReconcilerError, SetupInvalid, Stale


def print_plainly(settings: Settings, text: str) -> None:
    """Print a result with workflow commands disabled."""
    import click

    print_result(settings, plain_output(click.unstyle(text)))


def annotate(settings: Settings, annotations: Iterable[Annotation]) -> None:
    """Print annotations, at most as many as GitHub shows."""
    for command in workflow_commands(annotations):
        print_result(settings, command)


def annotate_error(settings: Settings, error: ReconcilerError) -> None:
    """Print the error that ended a command: at the lines of its file, and in full in the log."""
    annotate_errors(settings, (error,))


def annotate_errors(settings: Settings, errors: Sequence[ReconcilerError]) -> None:
    """Print the errors of several files together, since GitHub shows few annotations of a step."""
    if not errors:
        return
    from reconciler.cli.render.plan_markdown import errors_markdown

    invalid = [error for error in errors if isinstance(error, FileInvalid)]
    if invalid:
        print_plainly(settings, "\n".join(map(str, invalid)))
    annotate(settings, chain.from_iterable(map(_annotations, errors)))
    summarize(errors_markdown(errors))


def summarize(markdown: str) -> None:
    """Append Markdown to the job's summary, if there is one.

    Raises:
        SetupInvalid: the summary's file cannot be written.
    """
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{markdown}\n\n")
    except OSError as error:
        raise SetupInvalid(f"GITHUB_STEP_SUMMARY cannot be written: {error.strerror}") from error


def set_output(name: str, value: str) -> None:
    """Set an output of the workflow's step, if it has outputs.

    Raises:
        SetupInvalid: the file of outputs cannot be written.
    """
    path = os.environ.get("GITHUB_OUTPUT")
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{name}={value}\n")
    except OSError as error:
        raise SetupInvalid(f"GITHUB_OUTPUT cannot be written: {error.strerror}") from error


def _annotations(error: ReconcilerError) -> Iterable[Annotation]:
    match error:
        case FileInvalid():
            return findings_as_annotations(error)
        case Stale():
            return (Annotation(Level.NOTICE, str(error), "stale"),)
        case _:
            return (Annotation(Level.ERROR, str(error)),)
