"""`reconcile init`: write a commented first rollout.yaml."""

import click

from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_result
from reconciler.cli.render.escape import for_line


@click.command(epilog="Example: reconcile init && reconcile --dry-run")
@click.pass_context
def init(context: click.Context) -> None:
    """Write a commented first rollout.yaml, in which nobody is in yet; never over another file."""
    from reconciler.atomic_write import create_file
    from reconciler.rollout_file import first_rollout_file

    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    create_file(settings.path, first_rollout_file().encode(), instead="name another with --file")
    print_result(
        settings,
        f"{for_line(settings.file)} is written; see what it does: "
        f"{for_line(settings.program)} --dry-run",
    )
