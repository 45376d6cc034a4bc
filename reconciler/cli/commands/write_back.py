"""`reconcile write-back`: carry overrides that git does not have yet into it."""

import textwrap
from typing import TYPE_CHECKING

import click

from reconciler.cli.context import open_database
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import print_json, print_result
from reconciler.cli.render.escape import for_line
from reconciler.cli.render.lines import WIDTH
from reconciler.wording import short_commit

if TYPE_CHECKING:
    from reconciler.database.transactions import Database
    from reconciler.operations.write_back import WriteBackReport
    from reconciler.operations.write_back_pass import WrittenBack


@click.command(epilog="Example: reconcile write-back --remote origin --branch main")
@click.option("--remote", metavar="NAME", help="The remote; default the upstream's, else origin.")
@click.option(
    "--branch",
    metavar="NAME",
    help="The branch; default the upstream, else the remote's default branch.",
)
@click.pass_context
def write_back(context: click.Context, *, remote: str | None, branch: str | None) -> None:
    """Commit every override that git does not have yet, and remove those that were resumed.

    The checkout stays as it is: commits go from the branch's tip to the remote, never forced. What
    cannot be carried stays in force, and is carried next time.
    """
    from reconciler.operations import write_back as writing_back

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    if settings.feature is not None:
        raise click.UsageError("--feature: every override is carried")
    database = open_database(settings, to_write=True)
    report = writing_back.write_back(database, settings.path, remote=remote, branch=branch)
    if chosen is Format.JSON:
        print_json(settings, report)
    else:
        print_result(settings, report_text(report))
    complain_of_pending(settings, report)


def carry(settings: Settings, database: "Database") -> "WriteBackReport":
    """Carry what is pending into git, and say on stderr what kept any of it out."""
    from reconciler.operations import write_back as writing_back

    report = writing_back.write_back(database, settings.path)
    complain_of_pending(settings, report)
    return report


def report_text(report: "WriteBackReport") -> str:
    """Return what became of each override, a line each."""
    if not report.overrides:
        return "nothing to carry: git has every override"
    return "\n".join(_line(report, each) for each in report.overrides)


def complain_of_pending(settings: Settings, report: "WriteBackReport") -> None:
    """Say on stderr what kept overrides out of git, if anything did."""
    if report.problem is not None:
        settings.complain(
            f"not in git yet: {report.problem}; what is in force stays in force; "
            "to try again: reconcile write-back"
        )


def _line(report: "WriteBackReport", carried: "WrittenBack") -> str:
    # Imported late, as all that needs the database is.
    from reconciler.operations.write_back_pass import Outcome

    where = for_line(f"{report.remote}/{report.branch}")
    match carried.outcome:
        case Outcome.WRITTEN | Outcome.REMOVED:
            verb = "written to" if carried.outcome is Outcome.WRITTEN else "removed from"
            told = f"{verb} {where} by {short_commit(carried.commit or '')}"
        case Outcome.SETTLED:
            told = f"{where} says so already"
        case Outcome.PROPOSED:
            told = f"{where} takes no pushes; merge {carried.branch}"
        case Outcome.PENDING:
            told = "not in git yet" + (f": {carried.why}" if carried.why else "")
    said = textwrap.wrap(
        for_line(f"{carried.feature}: {told}"),
        WIDTH,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join([*said, f"    override {carried.override}"])
