"""`reconcile import`: print the live state as a rollout.yaml."""

import shlex
from pathlib import Path

import click

from reconciler.cli.context import reading
from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_result
from reconciler.cli.render.text import for_line
from reconciler.cli.types import FILE

COMMENTS = (
    "The live state when `reconcile import` wrote this; `reconcile --dry-run` shows later changes.",
)


@click.command("import", epilog="Example: reconcile import --output rollout.yaml")
@click.option(
    "--output", type=FILE, metavar="FILE", help="Write this file instead; it must not exist."
)
@click.option("--force", is_flag=True, help="With --output: overwrite an existing file.")
@click.pass_context
def command(context: click.Context, /, *, output: str | None, force: bool) -> None:
    """Print the live state as a rollout.yaml; a dry run of it finds no change.

    Values that a file cannot express are reported on stderr.
    """
    from reconciler.database.export import describe_live
    from reconciler.rollout_file.yaml_writer import render_rollout
    from rollout_client.atomic_write import create_file, replace_file

    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    if force and output is None:
        raise click.UsageError("--force needs --output")
    with reading(settings) as connection:
        described = describe_live(connection)
    text = render_rollout(described.rollout, COMMENTS)
    for remark in described.remarks:
        settings.warn(f"note: {remark}")
    if output is None:
        print_result(settings, text.rstrip("\n"))
        return
    if force:
        replace_file(Path(output), text.encode())
    else:
        create_file(Path(output), text.encode(), instead="name another file, or use --force")
    print_result(
        settings,
        f"{for_line(output)} is written. Next: reconcile --dry-run --file {shlex.quote(for_line(output))}",
    )
