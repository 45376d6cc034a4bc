"""`reconcile write-back`: write pending overrides to git."""

import click

from reconciler.cli.context import open_database
from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_json, print_result
from reconciler.cli.write_back_report import report_text, warn_of_problem


@click.command("write-back", epilog="Example: reconcile write-back --remote origin --branch main")
@click.option("--remote", metavar="NAME", help="The remote; default: the upstream's, else origin.")
@click.option(
    "--branch",
    metavar="NAME",
    help="The branch; default: ROLLOUT_BRANCH, branch of the file, or the remote's default branch.",
)
@click.pass_context
def command(context: click.Context, *, remote: str | None, branch: str | None) -> None:
    """Commit every override that git does not have yet, and remove the resumed ones from git.

    The checkout does not change: commits are made on the branch's tip and pushed, never by force. An
    override that cannot be written stays in force, and the next write-back tries again.
    """
    from reconciler.operations.write_back import write_back

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    if settings.feature is not None:
        raise click.UsageError("--feature cannot be used here: all overrides are written")
    database = open_database(settings, to_write=True)
    report = write_back(database, settings.path, remote=remote, branch=branch)
    if chosen is Format.JSON:
        print_json(settings, report)
    else:
        print_result(settings, report_text(report))
    warn_of_problem(settings, report)
