"""Write-back as a part of other commands, and the report of a pass."""

from typing import TYPE_CHECKING

from reconciler.cli.options import Settings
from reconciler.cli.render.text import for_line, wrapped
from reconciler.cli.render.wording import describe_written_back

if TYPE_CHECKING:
    from reconciler.database.transactions import Database
    from reconciler.operations.write_back import WriteBackReport
    from reconciler.operations.write_back_pass import WrittenBack


def write_back_and_warn(settings: Settings, database: "Database") -> "WriteBackReport":
    """Write pending overrides back to git; print on stderr why one is still pending."""
    from reconciler.operations.write_back import write_back

    report = write_back(database, settings.path)
    warn_of_problem(settings, report)
    return report


def report_text(report: "WriteBackReport") -> str:
    """Return what became of each override, a line each."""
    if not report.overrides and report.problem is None:
        return "nothing to write back: git has every override"
    if not report.overrides:
        return "nothing to write back that is known: git was not read"
    return "\n".join(_line(report, each) for each in report.overrides)


def warn_of_problem(settings: Settings, report: "WriteBackReport") -> None:
    """Print on stderr why a pass ended early, where it did."""
    if report.problem is None:
        return
    if report.pending:
        consequence = f"not in git yet: {report.problem}; the override stays in force"
    else:
        consequence = f"git was not read: {report.problem}; every override was in git before"
    settings.warn(f"{consequence}; to try again: reconcile write-back")


def _line(report: "WriteBackReport", written: "WrittenBack") -> str:
    where = f"{report.remote}/{report.branch}"
    text = for_line(f"{written.feature}: {describe_written_back(where, written)}")
    return "\n".join([*wrapped(text), f"    override {written.override}"])
