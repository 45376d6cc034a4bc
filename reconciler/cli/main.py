"""`reconcile`: the program, its commands, and the output of an error.

A command's module is imported when the command is used, and imports what it needs when it runs, so
that `--help` and `validate` do not wait for the database driver.
"""

import gc
import signal
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from types import TracebackType
from typing import Any, Final, NoReturn

import click

from reconciler._version import __version__
from reconciler.cli.options import Format, Settings, shared_options
from reconciler.cli.output import describe_interruption, guarded_streams
from reconciler.cli.render.text import for_terminal
from reconciler.cli.types import as_text
from reconciler.errors import ReconcilerError

GROUPS: Final = {
    "Emergency": ("stop", "rollback", "resume", "verify"),
    "Everyday": (
        "set",
        "whitelist",
        "exclude",
        "test-repos",
        "strategy",
        "auto-rollback",
        "promote",
        "freeze",
        "drift",
        "write-back",
    ),
    "Look": (
        "status",
        "health",
        "explain",
        "history",
        "freezes",
        "stats",
        "cost",
        "categories",
        "repositories",
        "metrics",
        "notify",
    ),
    "Set up": (
        "demo",
        "init",
        "simulate",
        "validate",
        "schema",
        "import",
        "categorize",
        "db",
        "watch",
        "serve",
        "dashboard",
        "github",
        "console",
        "completion",
    ),
}
"""The commands, in the groups of `--help`. Command `auto-rollback` is in `commands/auto_rollback.py`."""
COMMANDS: Final = tuple(name for names in GROUPS.values() for name in names)

OTHER_NAMES: Final = {
    "plan": "reconcile --dry-run",
    "diff": "reconcile --dry-run",
    "preview": "reconcile --dry-run",
    "dry-run": "reconcile --dry-run",
    "apply": "reconcile",
    "sync": "reconcile",
    "reconcile": "reconcile",
    "undo": "reconcile rollback --to PERCENT --reason TEXT",
    "pause": "reconcile stop --reason TEXT",
    "halt": "reconcile stop --reason TEXT",
    "start": "reconcile resume --reason TEXT",
    "blacklist": "reconcile exclude",
    "exclusions": "reconcile exclude",
    "include": "reconcile whitelist",
    "log": "reconcile history",
    "audit": "reconcile history",
    "why": "reconcile explain REPOSITORY",
    "list": "reconcile repositories list",
    "check": "reconcile validate",
    "lint": "reconcile validate",
    "migrate": "reconcile db upgrade",
    "psql": "reconcile db psql",
    "tutorial": "reconcile demo FOLDER",
    "quickstart": "reconcile demo FOLDER",
    "example": "reconcile demo FOLDER",
    "help": "reconcile --help",
}
"""Names that people know from other programs, and the command line here."""

MAX_SENTENCE: Final = 200
"""Characters of the sentence that describes a command in a list."""

_CONTEXT_SETTINGS: Final = {"help_option_names": ["--help", "-h"], "max_content_width": 100}

NEW_OBJECTS_OF_A_COLLECTION: Final = 300_000
"""The number of new objects after which Python searches for garbage. Imports and long lists are many objects
and no garbage: with Python's own number the searches take about 15 % of the processor time of a dry run of
100,000 entries and of `status` (measured; `benchmarks/README.md`)."""

EXIT_COMMAND_LINE_WRONG: Final = 64
EXIT_INTERRUPTED: Final = 128 + signal.SIGINT
EXIT_PIPE_CLOSED: Final = 128 + signal.SIGPIPE


class CommandContext(click.Context):
    """One use of a command, which an error in its arguments names."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        """End the use; an error of the parser, which knows no command, becomes one of this command."""
        if isinstance(exc_value, click.UsageError) and exc_value.ctx is None:
            exc_value.ctx = self
        return super().__exit__(exc_type, exc_value, tb)


class Program(click.Group):
    """The group that imports a command when it is used."""

    context_class = CommandContext

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in GROUPS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            rows = [
                (name, each.get_short_help_str(MAX_SENTENCE)) for name, each in commands if each
            ]
            with formatter.section(title):
                formatter.write_dl(rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = "import_" if cmd_name == "import" else cmd_name.replace("-", "_")
        module = import_module(f"reconciler.cli.commands.{name}")
        command: click.Command = module.command
        return with_shared_options(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        is_unknown = bool(args) and args[0] not in COMMANDS and not args[0].startswith("-")
        # While a shell completes a line, an error must not be printed.
        if is_unknown and not ctx.resilient_parsing:
            raise click.UsageError(f"no command is called {args[0]!r}{_hint(args[0])}", ctx)
        return super().resolve_command(ctx, args)


def _hint(name: str) -> str:
    if name.lower() in OTHER_NAMES:
        return f"; use: {OTHER_NAMES[name.lower()]}"
    near = get_close_matches(name, COMMANDS, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def with_shared_options(command: click.Command) -> click.Command:
    """Add the shared options to a command and its subcommands, once."""
    if not any(parameter.name == "database_url" for parameter in command.params):
        command.params.extend(shared_options())
        command.context_class = CommandContext
        # A list of commands shows the whole sentence.
        command.short_help = command.get_short_help_str(limit=MAX_SENTENCE)
        if isinstance(command, click.Group):
            for each in command.commands.values():
                with_shared_options(each)
    return command


def make_program(arguments: Sequence[str] = ()) -> Program:
    """Return the program; without a command it applies.

    If the arguments begin with a command, it has no options of the apply: their import takes a while.
    """
    if arguments and arguments[0] in COMMANDS:
        return Program(
            name="reconcile", params=shared_options(), context_settings=_CONTEXT_SETTINGS
        )
    from reconciler.cli.commands.apply import command as apply

    program = Program(
        name="reconcile",
        callback=apply.callback,
        params=[*apply.params, *shared_options()],
        invoke_without_command=True,
        help=apply.help,
        epilog=apply.epilog,
        context_settings=_CONTEXT_SETTINGS,
    )
    return click.version_option(__version__, prog_name="reconcile")(program)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit with its code."""
    gc.set_threshold(NEW_OBJECTS_OF_A_COLLECTION)
    with guarded_streams() as stdout:
        encoding = stdout.encoding if stdout.isatty() else "utf-8"
        stdout.reconfigure(encoding=encoding, errors="backslashreplace")
        exit_code = _run(Settings(), sys.argv[1:] if arguments is None else arguments)
        stdout.flush()
        if exit_code == 0 and stdout.failure is not None:
            exit_code = _report_failed_output(stdout.failure)
    sys.exit(exit_code)


def _run(settings: Settings, arguments: Sequence[str]) -> int:
    try:
        given = [as_text(each) for each in arguments]
        result: Any = make_program(given).main(
            given,
            prog_name="reconcile",
            standalone_mode=False,
            obj=settings,
        )
    except click.ClickException as error:
        return _show_usage_error(error)
    except ReconcilerError as error:
        _show_error(error, settings)
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt) as interruption:
        click.echo(describe_interruption(interruption), err=True)
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a fault of the program is reported in one line too
        _show_fault(error, settings)
        return 1
    return result if isinstance(result, int) else 0


def _show_usage_error(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "reconcile"
    click.echo(for_terminal(f"error: {error.format_message()}"), err=True)
    click.echo(f"see {command} --help", err=True)
    return EXIT_COMMAND_LINE_WRONG


def _show_error(error: ReconcilerError, settings: Settings) -> None:
    if settings.verbose:
        settings.warn(traceback.format_exc().rstrip())
    if settings.format is Format.GITHUB:
        from reconciler.cli.workflow_output import annotate_error

        annotate_error(settings, error)
        return
    settings.show_error(error)


def _report_failed_output(failure: OSError) -> int:
    if isinstance(failure, BrokenPipeError):
        return EXIT_PIPE_CLOSED
    click.echo(f"error: the result cannot be printed: {failure.strerror}", err=True)
    return 1


def _show_fault(error: Exception, settings: Settings) -> None:
    if settings.verbose:
        settings.warn(traceback.format_exc().rstrip())
    settings.warn(
        f"error: this is a fault of reconcile: {type(error).__name__}; "
        "please report it with the output of --verbose"
    )
