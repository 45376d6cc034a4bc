"""The options that every command shares, which mean the same before a command and after it."""

import os
import shlex
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from reconciler.cli.arguments import FILE
from reconciler.cli.render.escape import for_terminal
from reconciler.errors import FileInvalid, ReconcilerError


class Format(StrEnum):
    """How a result is written."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    GITHUB = "github"


@dataclass(slots=True)
class Settings:
    """What the shared options say; a later one on the command line wins."""

    file: str = field(default_factory=lambda: os.environ.get("ROLLOUT_FILE") or "rollout.yaml")
    database_url: str | None = None
    feature: str | None = None
    format: Format = Format.TEXT
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False
    unprinted: OSError | None = None
    """Why a result could not be printed, if one could not."""

    @property
    def path(self) -> Path:
        """The rollout file."""
        return Path(self.file)

    @property
    def program(self) -> str:
        """How the program is called for this file, in a line that tells what comes next."""
        is_default = self.file == Settings().file
        return "reconcile" if is_default else f"reconcile --file {shlex.quote(self.file)}"

    def say(self, message: str) -> None:
        """Tell people something that is not the result, unless they asked for quiet."""
        if not self.quiet:
            click.echo(for_terminal(message), err=True)

    def complain(self, message: str) -> None:
        """Tell people what is wrong, however quiet they asked to be."""
        click.echo(for_terminal(message), err=True)

    def complain_of(self, error: ReconcilerError) -> None:
        """Tell people what ended a command, or a part of it; a file's errors begin with their place."""
        prefix = "" if isinstance(error, FileInvalid) else "error: "
        self.complain(f"{prefix}{error}")

    def choose_format(self, *formats: Format) -> Format:
        """Return the format asked for; refuse one that the command does not have."""
        if self.format not in formats:
            names = " and ".join(formats)
            raise click.BadOptionUsage("format", f"--format {self.format}: this has {names} only")
        return self.format


def settings_of(context: click.Context) -> Settings:
    """Return the settings of this run."""
    return context.ensure_object(Settings)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and parameter.name is not None:
        setattr(context.find_root().ensure_object(Settings), parameter.name, value)


def _remember_format(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    _remember(context, parameter, None if value is None else Format(value))


def _features_in_file(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Return the features that a shell may complete; the database is not asked."""
    from reconciler.rollout_file import read_rollout_file

    try:
        features = read_rollout_file(settings_of(context).path).rollout.features
    except ReconcilerError:
        return []
    return [each for each in features if each.startswith(incomplete)]


def _shared(*names: str, help: str, **attributes: Any) -> click.Option:  # noqa: A002 - click's word
    attributes.setdefault("callback", _remember)
    return click.Option(names, expose_value=False, help=help, **attributes)


def shared_options() -> list[click.Parameter]:
    """Return the shared options, for a command or for the program itself."""
    return [
        _shared(
            "--file",
            "-f",
            type=FILE,
            metavar="PATH",
            help="The rollout file; default rollout.yaml, or ROLLOUT_FILE.",
        ),
        _shared(
            "--database-url",
            metavar="URL",
            help="The database; default DATABASE_URL, else the embedded one beside the file.",
        ),
        _shared(
            "--feature",
            metavar="NAME",
            help="The feature; needed only where there are several.",
            shell_complete=_features_in_file,
        ),
        _shared(
            "--format",
            type=click.Choice([each.value for each in Format]),
            callback=_remember_format,
            help="How the result is written; default text.",
        ),
        _shared("--quiet", is_flag=True, default=None, help="Say only the result."),
        _shared("--verbose", is_flag=True, default=None, help="Show the traceback of an error."),
        _shared("--no-color", is_flag=True, default=None, help="No colour; also NO_COLOR."),
    ]
