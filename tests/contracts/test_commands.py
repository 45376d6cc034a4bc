"""Commands, their options and arguments, and the choices of options."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points

import click

from reconciler.cli.main import make_program
from tests.contracts.record import check_lines
from tests.postgres import PROJECT


def test_commands_options_and_arguments() -> None:
    program = make_program()
    found = dict(_commands(program, click.Context(program, info_name="reconcile")))
    shared = frozenset.intersection(*found.values())

    lines = [f"{command} {each}" for command, own in found.items() for each in own - shared]
    check_lines("commands", [*found, *lines, *(f"(each command) {each}" for each in shared)])


def test_the_program_is_a_script_and_a_module() -> None:
    (script,) = entry_points(group="console_scripts", name="reconcile")
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "--version"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )

    assert callable(script.load())
    assert done.stdout.startswith("reconcile, version ")


def _commands(
    command: click.Command, context: click.Context
) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the path of each command, with its options and arguments."""
    parameters = command.get_params(context)
    yield context.command_path, frozenset(_parameter(each, context) for each in parameters)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands(found, click.Context(found, context, info_name=name))


def _parameter(parameter: click.Parameter, context: click.Context) -> str:
    is_option = isinstance(parameter, click.Option)
    is_chosen = isinstance(parameter.type, click.Choice) and parameter.metavar is None
    takes_value = not (
        isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count)
    )
    words = [
        " ".join(sorted(parameter.opts + parameter.secondary_opts)) if is_option else "ARGUMENT",
        parameter.make_metavar(context) if takes_value and not is_chosen else "",
        "required" if parameter.required else "",
        "repeatable" if is_option and parameter.multiple else "",
        {1: "", -1: "any number"}.get(parameter.nargs, f"{parameter.nargs} values"),
        f"from {parameter.envvar}" if parameter.envvar else "",
    ]
    match parameter.type:
        case click.Choice() as choice if takes_value:
            words.append(f"one of {', '.join(map(str, choice.choices))}")
        case click.IntRange() | click.FloatRange() as bounds:
            words.append(f"{bounds.min} to {bounds.max}")
        case _:
            pass
    return " ".join(word for word in words if word)
