"""`reconcile init`: write a commented first rollout.yaml."""

import click

from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_result
from reconciler.cli.render.text import for_line


@click.command(epilog="Example: reconcile init && reconcile --dry-run")
@click.pass_context
def command(context: click.Context) -> None:
    """Write a first rollout.yaml with comments, in which no repository is eligible yet.

    An existing file is not overwritten.
    """
    from reconciler.atomic_write import create_file
    from reconciler.rollout_file import first_rollout_file

    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    create_file(settings.path, first_rollout_file().encode(), instead="name another with --file")
    print_result(
        settings,
        f"{for_line(settings.file)} is written. Next: see its effect with "
        f"{for_line(settings.program)} --dry-run",
    )
