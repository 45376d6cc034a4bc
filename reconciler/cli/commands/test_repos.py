"""`reconcile test-repos`: the repositories marked as test."""

import click

from reconciler.cli.list_command import add_list_commands


@click.group("test-repos", epilog="Example: reconcile test-repos add my-org/test-repo-1")
def command() -> None:
    """Repositories marked as test, for all features."""


add_list_commands(command, "test_repositories", "test repositories")
