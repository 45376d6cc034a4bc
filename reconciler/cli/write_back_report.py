"""Write-back as a part of other commands: its option, the pass, and the report.

By default nothing is written to git from the embedded database: it is a trial on one machine, but
the remote belongs to the team.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.cli.options import Settings
from reconciler.cli.render.text import for_line, wrapped

if TYPE_CHECKING:
    from reconciler.database.transactions import Database
    from reconciler.operations.write_back import WriteBackReport
    from reconciler.operations.write_back_pass import WrittenBack


Command = TypeVar("Command", bound=Callable[..., Any])


def write_back_option(beginning: str = "Write") -> Callable[[Command], Command]:
    """Return the option that requests or excludes write-back; without it `writes_back` is None."""
    return click.option(
        "--write-back/--no-write-back",
        "writes_back",
        default=None,
        help=f"{beginning} the override to git, or not; "
        "default: yes, but not from the embedded database.",
    )


def is_written_back(database: "Database", *, requested: bool | None) -> bool:
    """Return whether overrides are written to git: as requested, else unless the database is embedded."""
    return not database.address.is_embedded if requested is None else requested


def write_back_and_warn(
    settings: Settings, database: "Database", *, requested: bool | None
) -> "WriteBackReport | None":
    """Write pending overrides back to git; print on stderr why one is still pending.

    None without a request for write-back; the reason is then printed.
    """
    from reconciler.operations.write_back import write_back

    if not is_written_back(database, requested=requested):
        if requested is None:
            settings.inform(describe_no_write_back(requested=requested))
        return None
    report = write_back(database, settings.path)
    warn_of_problem(settings, report)
    return report


def describe_no_write_back(*, requested: bool | None) -> str:
    """Return why nothing is written to git, and the command that writes it."""
    why = (
        "because the database is the embedded one"
        if requested is None
        else "as --no-write-back asks"
    )
    return f"not written to git, {why}; to write it: reconcile write-back"


def report_text(report: "WriteBackReport") -> str:
    """Return the outcome of each override, one line each."""
    if not report.overrides and report.problem is None:
        return "nothing to write back: git has every override"
    if not report.overrides:
        return "no override is known to be missing in git, but git was not read"
    return "\n".join(_line(report, each) for each in report.overrides)


def report_sentences(report: "WriteBackReport") -> tuple[str, ...]:
    """Return the outcome for a page, which wraps by itself: a sentence for each override."""
    if not report.overrides:
        return (report_text(report),)
    return tuple(
        f"{_sentence(report, each)} (override {each.override})" for each in report.overrides
    )


def warn_of_problem(settings: Settings, report: "WriteBackReport") -> None:
    """Print on stderr why a pass ended early, if it did."""
    problem = describe_problem(report)
    if problem is not None:
        settings.warn(problem)


def describe_problem(report: "WriteBackReport") -> str | None:
    """Return why a pass ended early, and the command that tries again; None if it did not."""
    if report.problem is None:
        return None
    if report.pending:
        consequence = f"not in git yet: {report.problem}; the override stays in force"
    else:
        consequence = f"git was not read: {report.problem}; every override was in git before"
    return f"{consequence}; to try again: reconcile write-back"


def _line(report: "WriteBackReport", written: "WrittenBack") -> str:
    text = for_line(_sentence(report, written))
    return "\n".join([*wrapped(text), f"    override {written.override}"])


def _sentence(report: "WriteBackReport", written: "WrittenBack") -> str:
    from reconciler.cli.render.wording import describe_written_back

    where = f"{report.remote}/{report.branch}"
    return f"{written.feature}: {describe_written_back(where, written)}"
