"""The program's output: results on stdout, messages on stderr, questions, progress.

Results are styled on a terminal only. Messages and questions go to stderr, so that a result can be
piped.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from io import UnsupportedOperation
from pathlib import Path
from typing import Any, TextIO, TypeVar
from uuid import UUID

import click

from reconciler.cli.options import Format, Settings
from reconciler.cli.render.text import for_json
from reconciler.wording import count, show_time

Data = TypeVar("Data")


class Declined(click.Abort):
    """The answer to a question was not yes."""


class GuardedStream:
    """A standard stream that keeps its first failure and discards the text that cannot be written.

    A command continues if its reader has ended or the disk is full: its actions, such as writing a
    stop back to git, matter more than their report.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, or discard it if the stream fails."""
        try:
            return self._stream.write(text)
        except OSError as failure:
            self._discard_from_now_on(failure)
            return len(text)

    def flush(self) -> None:
        """Flush the stream, or discard its text if it fails."""
        try:
            self._stream.flush()
        except OSError as failure:
            self._discard_from_now_on(failure)

    def _discard_from_now_on(self, failure: OSError) -> None:
        self.failure = self.failure or failure
        # The buffered text must not fail again when the interpreter ends.
        with suppress(OSError, UnsupportedOperation), Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), self._stream.fileno())


@contextmanager
def guarded_streams() -> Iterator[GuardedStream]:
    """Guard stdout and stderr, and yield the guarded stdout; open each standard stream that is closed.

    A closed stream would give its number to the next file or socket, which would receive its text.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = sys.stdin or _nothing("r")
    stdout = GuardedStream(sys.stdout or _nothing("w"))
    sys.stdout = stdout
    sys.stderr = GuardedStream(sys.stderr or _nothing("w"))
    try:
        yield stdout
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def _nothing(mode: str) -> Any:
    return Path(os.devnull).open(mode, encoding="utf-8")


def show_result(settings: Settings, data: Data, text: Callable[[], str]) -> Data:
    """Print a command's result as text or as JSON, and return it."""
    if settings.choose_format(Format.TEXT, Format.JSON) is Format.JSON:
        print_json(settings, data)
    else:
        print_result(settings, text())
    return data


def print_result(settings: Settings, text: str) -> None:
    """Print a command's result; its styles are shown on a terminal and left out elsewhere."""
    if settings.format is Format.TEXT and os.environ.get("GITHUB_ACTIONS"):
        text = _without_commands(text)
    is_plain = settings.no_color or bool(os.environ.get("NO_COLOR"))
    click.echo(text, color=not is_plain and _obeys_control_codes(sys.stdout))


def _obeys_control_codes(stream: Any) -> bool:
    """Return whether a stream is a terminal that shows colours and clears lines."""
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"


def _without_commands(text: str) -> str:
    """Return text for the log of GitHub's runner, which takes a line that begins with `::` as a command."""
    if not any(line.lstrip().startswith("::") for line in text.splitlines()):
        return text
    from reconciler.cli.render.annotations import plain_output

    return plain_output(text)


def print_json(settings: Settings, value: Any) -> None:
    """Print a command's result as JSON: dataclasses as objects, times in UTC, durations as written."""
    shown = json.dumps(value, indent=2, ensure_ascii=False, default=_jsonable)
    print_result(settings, for_json(shown))


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass's instance, for JSON."""
    return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}


def can_ask() -> bool:
    """Return whether a person is there to read a question and to answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, otherwise: str) -> None:
    """Ask a yes-or-no question; continue if the answer is yes.

    Raises:
        Declined: it is no; `otherwise` is the message then.
        click.Abort: Ctrl-C, or the end of the input.
    """
    try:
        is_yes = click.confirm(question, err=True)
    except click.Abort:
        # The cursor is still behind the question.
        click.echo(err=True)
        raise
    if not is_yes:
        raise Declined(otherwise)


def prompt(label: str) -> str:
    """Ask for a line of text.

    Raises:
        click.Abort: Ctrl-C, or the end of the input.
    """
    try:
        text: str = click.prompt(label, err=True, default="", show_default=False)
    except click.Abort:
        click.echo(err=True)
        raise
    return text


def describe_interruption(interruption: BaseException) -> str:
    """Return the message of a command that a person ended."""
    is_an_answer = isinstance(interruption, Declined)
    return (
        str(interruption)
        if is_an_answer
        else "interrupted; every step was either completed or not begun"
    )


@contextmanager
def shown_progress(settings: Settings) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows how far work is, in one line of a terminal; the line goes at the end."""
    if settings.quiet or not _obeys_control_codes(sys.stderr):
        yield lambda _what, _done, _total: None
        return

    def show(what: str, done: int, total: int) -> None:
        click.echo(f"\r\033[K{what}: {count(done)} of {count(total)}", nl=False, err=True)

    try:
        yield show
    finally:
        _clear_line()


def inform_between(settings: Settings, message: str) -> None:
    """Print a message while progress may be shown, in a line of its own."""
    if not settings.quiet and _obeys_control_codes(sys.stderr):
        _clear_line()
    settings.inform(message)


def _clear_line() -> None:
    click.echo("\r\033[K", nl=False, err=True)


def _jsonable(value: Any) -> Any:
    match value:
        case datetime():
            return show_time(value)
        case Decimal() | timedelta():
            from reconciler.planning.field_types import plain

            return plain(value)
        case UUID():
            return str(value)
        case frozenset():
            return sorted(value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return fields_of(value)
        case _:
            raise TypeError(f"no JSON for {type(value).__name__}")
