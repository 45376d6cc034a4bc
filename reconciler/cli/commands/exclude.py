"""`reconcile exclude`: the repositories that never have the feature."""

import click

from reconciler.cli.list_command import add_list_commands


@click.group("exclude", epilog="Example: reconcile exclude add --owner legacy-org")
def command() -> None:
    """Repositories that never have the feature."""


add_list_commands(command, "exclusions", "exclusions")
