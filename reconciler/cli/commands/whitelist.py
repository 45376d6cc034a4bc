"""`reconcile whitelist`: the repositories that always have the feature."""

import click

from reconciler.cli.list_command import add_list_commands


@click.group("whitelist", epilog="Example: reconcile whitelist add microsoft/vscode --commit")
def command() -> None:
    """Repositories that always have the feature, unless they are excluded."""


add_list_commands(command, "whitelist", "whitelist")
