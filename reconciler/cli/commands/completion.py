"""`reconcile completion`: the script by which a shell completes commands, options and names of the file."""

import click
from click.shell_completion import get_completion_class

from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_result

VARIABLE = "_RECONCILE_COMPLETE"
"""What the script sets when it asks the program; the name is the toolkit's."""


@click.command(
    epilog="Example: reconcile completion bash > ~/.local/share/bash-completion/completions/reconcile"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="bash|zsh|fish")
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options, features and entries of the lists.

    For one session: eval "$(reconcile completion bash)", for fish: reconcile completion fish | source.
    """
    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"there is no completion for {shell}")
    root = context.find_root()
    script = made(root.command, {}, "reconcile", VARIABLE).source()
    print_result(settings, script)
