"""`reconcile completion`: a script for the shell, which completes commands, options and names."""

import click
from click.shell_completion import get_completion_class

from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_result

VARIABLE = "_RECONCILE_COMPLETE"
"""The variable that the script sets when it runs the program; click defines the name."""


@click.command("completion", epilog="Example: reconcile completion bash >> ~/.bash_completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="bash|zsh|fish")
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a shell script that completes commands, options, features and list entries.

    For one session of bash: eval "$(reconcile completion bash)"

    For one session of fish: reconcile completion fish | source
    """
    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"there is no completion for {shell}")
    root = context.find_root()
    script = made(root.command, {}, "reconcile", VARIABLE).source()
    print_result(settings, script)
