"""`reconcile`: the program, its commands by name, and what an error looks like.

A command's module is imported when the command is, and imports what it needs when it runs, so that
`--help` and `validate` wait for no database driver.
"""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from reconciler._version import __version__
from reconciler.cli.arguments import as_text
from reconciler.cli.options import Format, Settings, shared_options
from reconciler.cli.output import print_into_nothing
from reconciler.cli.question import what_became
from reconciler.cli.render.escape import for_terminal
from reconciler.errors import ReconcilerError

COMMANDS: Final = {
    "auto-rollback": "edits",
    "categories": "categories",
    "categorize": "categories",
    "completion": "completion",
    "console": "console",
    "db": "database",
    "drift": "drift",
    "exclude": "lists",
    "explain": "explain",
    "github": "github",
    "health": "health",
    "history": "history",
    "import": "import_",
    "init": "init",
    "metrics": "metrics",
    "promote": "promote",
    "repositories": "repositories",
    "resume": "override_actions",
    "rollback": "override_actions",
    "schema": "schema",
    "serve": "serve",
    "set": "edits",
    "stats": "stats",
    "status": "status",
    "stop": "override_actions",
    "strategy": "edits",
    "test-repos": "lists",
    "validate": "validate",
    "verify": "verify",
    "watch": "watch",
    "whitelist": "lists",
    "write-back": "write_back",
}
"""Each command's name, and the module of `reconciler.cli.commands` that has it."""

COLLECT_AFTER: Final = 200_000
"""Objects made before the first look for garbage in cycles."""

MAX_SENTENCE: Final = 200
"""Characters of the sentence that says what a command does."""

EXIT_COMMAND_LINE_WRONG: Final = 64
EXIT_INTERRUPTED: Final = 128 + signal.SIGINT
EXIT_PIPE_CLOSED: Final = 128 + signal.SIGPIPE


class Program(click.Group):
    """The group that imports a command when it is asked for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"reconciler.cli.commands.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return with_shared_options(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"no command is called {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


def with_shared_options(command: click.Command) -> click.Command:
    """Add the shared options to a command and all that are under it, once."""
    if not any(parameter.name == "database_url" for parameter in command.params):
        command.params.extend(shared_options())
        # A list of commands has the whole sentence, over as many lines as it needs.
        command.short_help = command.get_short_help_str(limit=MAX_SENTENCE)
        if isinstance(command, click.Group):
            for each in command.commands.values():
                with_shared_options(each)
    return command


def make_program() -> Program:
    """Return the program; what it does without a command is the apply."""
    from reconciler.cli.commands.apply import apply_command

    program = Program(
        name="reconcile",
        callback=apply_command.callback,
        params=[*apply_command.params, *shared_options()],
        invoke_without_command=True,
        help=apply_command.help,
        epilog=apply_command.epilog,
        context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    )
    return click.version_option(__version__, prog_name="reconcile")(program)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit with its code."""
    # What is read in bulk has no cycles; looking for them again and again costs a fifth of the time.
    gc.set_threshold(COLLECT_AFTER, 20, 20)
    _open_what_is_closed()
    settings = Settings()
    if not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    exit_code = _run(settings, arguments)
    if settings.unprinted is not None and exit_code == 0:
        exit_code = _show_unprinted(settings.unprinted)
    sys.exit(exit_code)


def _open_what_is_closed() -> None:
    """Open nothing for a standard stream that is closed, as a job's may be.

    The next file or socket would take its number, and have what is meant for the stream.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def _run(settings: Settings, arguments: Sequence[str] | None) -> int:
    program = make_program()
    try:
        result: Any = program.main(
            [as_text(each) for each in (sys.argv[1:] if arguments is None else arguments)],
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
        click.echo(what_became(interruption), err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        print_into_nothing()
        return EXIT_PIPE_CLOSED
    except Exception as error:  # noqa: BLE001 - the last place: a fault of ours is told in one line too
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
        click.echo(for_terminal(traceback.format_exc().rstrip()), err=True)
    if settings.format is Format.GITHUB:
        from reconciler.cli.workflow_output import annotate_error

        annotate_error(settings, error)
        return
    settings.complain_of(error)


def _show_unprinted(error: OSError) -> int:
    if isinstance(error, BrokenPipeError):
        return EXIT_PIPE_CLOSED
    click.echo(f"error: the result cannot be printed: {error.strerror}", err=True)
    return 1


def _show_fault(error: Exception, settings: Settings) -> None:
    if settings.verbose:
        click.echo(for_terminal(traceback.format_exc().rstrip()), err=True)
    click.echo(
        for_terminal(
            f"error: this is a fault of reconcile: {type(error).__name__}; "
            "please report it with what --verbose shows"
        ),
        err=True,
    )
