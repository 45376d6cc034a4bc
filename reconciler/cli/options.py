"""The options that every command shares; they have the same meaning before a command and after it."""

import os
import shlex
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from reconciler.cli.render.text import fitted, for_terminal
from reconciler.cli.types import FILE
from reconciler.errors import FileInvalid, ReconcilerError


class Format(StrEnum):
    """The format of a result."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    GITHUB = "github"
    CSV = "csv"


@dataclass(slots=True)
class Settings:
    """The values of the shared options; the last one on the command line counts."""

    file: str = field(default_factory=lambda: os.environ.get("ROLLOUT_FILE") or "rollout.yaml")
    database_url: str | None = None
    feature: str | None = None
    by: str | None = None
    format: Format = Format.TEXT
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False

    @property
    def path(self) -> Path:
        """The rollout file."""
        return Path(self.file)

    @property
    def program(self) -> str:
        """The command line of the program for this file, for a message that names the next step."""
        is_default = self.file == Settings().file
        return "reconcile" if is_default else f"reconcile --file {shlex.quote(self.file)}"

    def inform(self, message: str) -> None:
        """Print a message that is not the result, unless --quiet is given."""
        if not self.quiet:
            text = for_terminal(message)
            click.echo(fitted(text) if sys.stderr.isatty() else text, err=True)

    def warn(self, message: str) -> None:
        """Print a message about a problem, also with --quiet."""
        click.echo(for_terminal(message), err=True)

    def show_error(self, error: ReconcilerError) -> None:
        """Print the error that ended a command or a part of it; errors of a file begin with their place."""
        prefix = "" if isinstance(error, FileInvalid) else "error: "
        self.warn(f"{prefix}{error}")

    def choose_format(self, *formats: Format) -> Format:
        """Return the requested format; refuse one that the command does not have."""
        if self.format not in formats:
            names = " and ".join(formats)
            raise click.BadOptionUsage(
                "format", f"--format {self.format}: this command has {names} only"
            )
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
    """Return the features that a shell may complete: the file's, else the database's."""
    from reconciler.rollout_file.feature_names import read_feature_names

    settings = settings_of(context)
    try:
        features = read_feature_names(settings.path)
    except ReconcilerError:
        features = ()
    if not features:
        from reconciler.cli.completion import complete_features

        return complete_features(settings, incomplete)
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
            help="The rollout file; default: ROLLOUT_FILE, else rollout.yaml.",
        ),
        _shared(
            "--database-url",
            metavar="URL",
            help="The database; default: DATABASE_URL, else the embedded database beside the file.",
        ),
        _shared(
            "--feature",
            metavar="NAME",
            help="The feature; required only if there are several.",
            shell_complete=_features_in_file,
        ),
        _shared(
            "--by",
            metavar="NAME",
            help="The person in history; default: ROLLOUT_ACTOR, else git's user.name.",
        ),
        _shared(
            "--format",
            type=click.Choice([each.value for each in Format]),
            callback=_remember_format,
            help="The format of the result; default: text.",
        ),
        _shared("--quiet", is_flag=True, default=None, help="Print only the result."),
        _shared("--verbose", is_flag=True, default=None, help="Print the traceback of an error."),
        _shared(
            "--no-color", is_flag=True, default=None, help="Print no colour; default: NO_COLOR."
        ),
    ]


exact_option = click.option(
    "--exact",
    "is_exact",
    is_flag=True,
    help="Count the eligible repositories now, also if a count is kept.",
)
"""The option of commands that show kept counts."""
