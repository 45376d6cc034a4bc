"""`reconcile demo`: a trial on one machine, in a folder of its own."""

import os
import shlex
from pathlib import Path

import click

from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import print_result
from reconciler.cli.render.text import for_line, wrapped
from reconciler.cli.types import FILE
from reconciler.errors import SetupInvalid
from reconciler.wording import counted


@click.command(epilog="Example: reconcile demo my-rollout")
@click.argument("folder", type=FILE, metavar="FOLDER")
@click.option(
    "--with-jobs",
    is_flag=True,
    help="Also apply the file, and add a day of sample jobs with a rollback, for the dashboard.",
)
@click.pass_context
def command(context: click.Context, folder: str, *, with_jobs: bool) -> None:
    """Make a trial in a new folder: a rollout file, a git repository, a database with 42 repositories.

    Then it prints the commands to type, which apply the file, let jobs fail, roll back and resume.
    With --with-jobs the commands show the dashboard. Nothing leaves this machine, and all
    repositories are sample data.
    """
    from reconciler.cli.context import open_address
    from reconciler.database.address import embedded_address
    from reconciler.operations import demo

    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    _require_no_other_database(settings)
    place = Path(folder).absolute()
    demo.require_new_folder(place)
    settings.inform("starting a Postgres of its own, on a unix socket only …")
    database = open_address(embedded_address(place / demo.ROLLOUT_FILE), to_write=True)
    demo.write_files(place)
    loaded = demo.load_samples(database, place)
    _say(
        settings,
        f"{folder}: wrote {demo.ROLLOUT_FILE} and {demo.REPOSITORIES}, made a git repository with the "
        f"remote {demo.REMOTE}, and loaded {counted(loaded.added, 'repository')} into the Postgres. It "
        "runs until: reconcile db stop",
    )
    if with_jobs:
        demo.add_day(database, place)
        _say(settings, "applied the file, added a day of jobs, and rolled the feature back to 0")
    settings.inform("\nNext, type these lines:\n")
    change = "" if folder == "." else f"cd {shlex.quote(for_line(folder))}\n\n"
    lines = demo.dashboard_lines() if with_jobs else demo.next_lines()
    print_result(settings, f"{change}{lines.rstrip()}")


def _say(settings: Settings, sentence: str) -> None:
    settings.inform("\n".join(wrapped(for_line(sentence))))


def _require_no_other_database(settings: Settings) -> None:
    """Refuse a shell in which the lines to type would reach another file or database."""
    if settings.database_url is not None:
        raise click.UsageError("--database-url cannot be used here: a demo has its own database")
    for name in ("DATABASE_URL", "ROLLOUT_FILE"):
        if os.environ.get(name):
            raise SetupInvalid(
                f"{name} is set, so the lines of the demo would not use the demo; first: unset {name}"
            )
    if settings.file != "rollout.yaml":
        raise click.UsageError("--file cannot be used here: a demo has its own file")
