"""Help: every command shows an example, and the program accepts the example's command line."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from reconciler.cli.main import make_program


def all_commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command and subcommand with its words on the command line."""
    program = make_program()

    def walk(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
        yield " ".join(words), command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from walk(found, (*words, name))

    yield from walk(program, ("reconcile",))


COMMANDS = dict(all_commands())


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_an_example_of_itself_that_parses(words: str) -> None:
    epilog = COMMANDS[words].epilog or ""
    # The next arguments are free text, or belong to another program.
    example = re.match(r"Example: .*?(reconcile.*?)(, and| && | [|>]+ |\)|$)", epilog)

    assert example is not None, f"{words} --help has no example"
    assert f"{example[1]} ".startswith(f"{words} ")
    arguments = shlex.split(example[1])[1:]
    command: click.Command = make_program()
    context = click.Context(command, info_name="reconcile")
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command, context = found, click.Context(found, context, info_name=name)
    command.make_context(context.info_name, arguments)


@pytest.mark.parametrize("words", COMMANDS)
def test_an_example_is_one_line_of_a_terminal_so_that_it_can_be_copied(words: str) -> None:
    context = click.Context(COMMANDS[words], info_name=words, terminal_width=80)

    assert COMMANDS[words].get_help(context).endswith(f"\n\n  {COMMANDS[words].epilog}")


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_and_option_has_a_help_text(words: str) -> None:
    command = COMMANDS[words]

    assert command.get_short_help_str()
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{words} {parameter.opts[0]}"


@pytest.mark.parametrize("words", COMMANDS)
def test_a_list_of_commands_cuts_no_sentence(words: str) -> None:
    context = click.Context(COMMANDS[words], info_name=words, terminal_width=80)

    assert "..." not in COMMANDS[words].get_help(context).replace("]...", "")
