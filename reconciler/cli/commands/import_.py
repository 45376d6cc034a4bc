"""`reconcile import`: the live state as a rollout.yaml."""

from pathlib import Path

import click

from reconciler.cli.arguments import FILE
from reconciler.cli.context import open_database
from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_result
from reconciler.cli.render.escape import for_line

COMMENTS = (
    "What was live when `reconcile import` wrote this; `reconcile --dry-run` shows what has changed since.",
)


@click.command("import", epilog="Example: reconcile import --output rollout.yaml")
@click.option(
    "--output", type=FILE, metavar="FILE", help="Write this file instead, which must not be there."
)
@click.option("--force", is_flag=True, help="With --output: write over a file that is there.")
@click.pass_context
def import_command(context: click.Context, /, *, output: str | None, force: bool) -> None:
    """Print the live state as a rollout.yaml, for which a dry run has nothing to do.

    What a file can't say is told on stderr.
    """
    from reconciler.atomic_write import create_file, replace_file
    from reconciler.database.export import describe_live
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction
    from reconciler.rollout_file.yaml_writer import render_rollout

    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    if force and output is None:
        raise click.UsageError("--force goes with --output")
    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        described = describe_live(connection)
    text = render_rollout(described.rollout, COMMENTS)
    for remark in described.remarks:
        settings.complain(f"note: {remark}")
    if output is None:
        print_result(settings, text.rstrip("\n"))
        return
    if force:
        replace_file(Path(output), text.encode())
    else:
        create_file(Path(output), text.encode(), instead="name another file, or --force")
    print_result(
        settings, f"{for_line(output)} is written; compare it: reconcile --dry-run --file {output}"
    )


# The word is Python's own, so that only a look-up by name can ask for the command.
vars()["import"] = import_command
