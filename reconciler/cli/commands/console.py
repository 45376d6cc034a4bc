"""`reconcile console`: a Python prompt with the object `rollout`."""

import builtins
import code
import inspect
import pydoc
import re
import sys
from collections.abc import Callable
from typing import Any

import click

from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import describe_interruption, print_result
from reconciler.cli.render.text import Column, for_terminal, table
from reconciler.cli.rollout_console import RolloutConsole, WrongName
from reconciler.errors import ReconcilerError

_AWAIT = re.compile(r"^(\s*(?:\w+\s*=\s*)?)await\s+(?=rollout\.)", re.MULTILINE)

BANNER = "rollout.status() shows the rollout, help(rollout) the methods, tab completes; Ctrl-D ends"


@click.command(epilog="Example: reconcile console, and there: rollout.status()")
@click.pass_context
def command(context: click.Context) -> None:
    """Open a Python prompt with the object `rollout`: one method for each operator task.

    Each method prints the output of its command and returns the data: help(rollout) lists them.
    """
    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    rollout = RolloutConsole()
    rollout._settings = settings  # noqa: SLF001 - the options of the prompt are those of each method
    namespace: dict[str, Any] = {
        "__name__": "__console__",
        "__doc__": None,
        "rollout": rollout,
        "help": _Help(settings, rollout),
    }
    _complete_by_tab(namespace)
    displayhook, sys.displayhook = sys.displayhook, lambda value: _display(value, rollout)
    try:
        _Prompt(settings, namespace).interact(banner="" if settings.quiet else BANNER, exitmsg="")
    finally:
        sys.displayhook = displayhook


class _Prompt(code.InteractiveConsole):
    """A prompt that shows the error of a method in one line, without a traceback."""

    def __init__(self, settings: Settings, namespace: dict[str, Any]) -> None:
        super().__init__(namespace)
        self._settings = settings

    def runsource(self, source: str, filename: str = "<input>", symbol: str = "single") -> bool:
        """Run a line; `await` before a call of `rollout` is accepted, and not needed."""
        return super().runsource(_AWAIT.sub(r"\1", source), filename, symbol)

    def showtraceback(self) -> None:
        """Show an error in one line, unless it is a fault of the program or of typed Python."""
        match sys.exc_info()[1]:
            case ReconcilerError() | ValueError() | WrongName() as error if (
                not self._settings.verbose
            ):
                self.write(f"{for_terminal(f'error: {error}')}\n")
            case KeyboardInterrupt() | click.Abort() as interruption:
                self.write(f"{describe_interruption(interruption)}\n")
            case _:
                super().showtraceback()


class _Help:
    """`help` at the prompt: the methods of `rollout` as a table, Python's help for all else."""

    def __init__(self, settings: Settings, rollout: RolloutConsole) -> None:
        self._settings = settings
        self._rollout = rollout

    def __call__(self, *asked: object) -> None:
        if asked and asked[0] is not self._rollout:
            pydoc.help(*asked)
            return
        methods = [
            (f"{name}{_signature(method)}", (method.__doc__ or "").partition("\n")[0])
            for name, method in inspect.getmembers(type(self._rollout), inspect.isfunction)
            if not name.startswith("_")
        ]
        print_result(self._settings, table((Column("method"), Column("what it does")), methods))

    def __repr__(self) -> str:
        return "help(rollout) lists the methods; help(object) is Python's help"


def _signature(method: Callable[..., Any]) -> str:
    parameters = list(inspect.signature(method).parameters.values())[1:]
    names = (
        f"{each.name}=…" if each.default is not each.empty else str(each.name)
        for each in parameters
    )
    return f"({', '.join('…' if name == 'then' else name for name in names)})"


def _display(value: Any, rollout: RolloutConsole) -> None:
    """Show a value, unless a method has just printed it; `_` has the value in both cases."""
    if value is None:
        return
    if not rollout._has_just_returned(value):  # noqa: SLF001 - not for its users
        print_result(Settings(), for_terminal(repr(value)))
    vars(builtins)["_"] = value


def _complete_by_tab(namespace: dict[str, Any]) -> None:
    try:
        import readline
    except ImportError:
        return
    import rlcompleter

    readline.set_completer(rlcompleter.Completer(namespace).complete)
    is_editline = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if is_editline else "tab: complete")
