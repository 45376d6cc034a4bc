"""`reconcile verify`: evidence that a stop or a rollback took effect everywhere."""

from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.context import choose_features, open_database
from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_json, print_result
from reconciler.cli.render.drift_text import drift_lines
from reconciler.cli.render.text import beside, for_line
from reconciler.planning.verification import CheckStatus
from reconciler.wording import describe_limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.database.transactions import Database
    from reconciler.operations.verify import Verified

EXIT_FAILED: Final = 1
EXIT_DETAILED_FAILED: Final = 2
EXIT_DETAILED_NOT_YET: Final = 3

_COLORS: Final = {
    CheckStatus.OK: "green",
    CheckStatus.FAILED: "red",
    CheckStatus.NOT_YET: "yellow",
}


@click.command(epilog="Example: reconcile verify --format json")
@click.option(
    "--fallback",
    metavar="PROCESSOR",
    help="The processor that must run the jobs of ineligible repositories; default: the feature's.",
)
@click.option("--no-git", is_flag=True, help="Do not check the remote.")
@click.option(
    "--detailed-exitcode",
    is_flag=True,
    help="Exit 2 if a check failed, else 3 if a check has no result yet.",
)
@click.pass_context
def command(
    context: click.Context, *, fallback: str | None, no_git: bool, detailed_exitcode: bool
) -> int:
    """Check that an override took effect: configuration, eligibility, jobs, history, git.

    Exits 1 if a check failed.
    """
    from reconciler.operations.verify import verify

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    database = open_database(settings)
    features = choose_features(settings, database)
    file = None if no_git else settings.path
    found = verify(database, features, file=file, fallback=fallback)
    if chosen is Format.JSON:
        print_json(settings, {"features": [_as_json(each) for each in found]})
    else:
        text = "\n\n".join(map(_as_text, found)) or _nothing(database, features)
        print_result(settings, text)
    return _exit_code(found, detailed=detailed_exitcode)


def _nothing(database: "Database", features: "Sequence[str]") -> str:
    """Return the text without an override in force: limits may have been set by hand."""
    from reconciler.operations.drift import read_drift, read_drift_causes

    lines = ["no override is in force; there is nothing to verify"]
    causes = read_drift_causes(database)
    for feature, drift in read_drift(database).items():
        if feature in features:
            lines += [click.style(for_line(feature), bold=True)]
            lines += drift_lines(drift, causes.get(feature))
    return "\n".join(lines)


def _exit_code(found: "Sequence[Verified]", *, detailed: bool) -> int:
    statuses = {check.status for each in found for check in each.checks}
    if CheckStatus.FAILED in statuses:
        return EXIT_DETAILED_FAILED if detailed else EXIT_FAILED
    return EXIT_DETAILED_NOT_YET if detailed and CheckStatus.NOT_YET in statuses else 0


def _as_json(found: "Verified") -> dict[str, Any]:
    from reconciler.planning.report import report_override

    return {
        "name": found.feature,
        "override": report_override(found.override).model_dump(),
        "seconds": round(found.seconds, 3),
        "checks": found.checks,
    }


def _as_text(found: "Verified") -> str:
    name = click.style(for_line(found.feature), bold=True)
    limit, by = describe_limit(found.override.percentage), for_line(found.override.by)
    lines = [f"{name}: {limit}, by {by}, {found.seconds:,.1f} s ago"]
    for check in found.checks:
        status = click.style(f"{check.status:<9}", fg=_COLORS[check.status])
        beginning = f"    {check.name:<14}{status}"
        lines += beside(beginning, for_line(check.detail))
    return "\n".join(lines)
