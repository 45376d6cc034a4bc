"""`reconcile stop`, `rollback`, `resume`: at once in the database, then as a commit."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.cli.arguments import require_words
from reconciler.cli.commands.write_back import carry, report_text
from reconciler.cli.context import choose_feature, open_database, who_acts
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import print_json, print_result
from reconciler.cli.percentage import Percentage
from reconciler.cli.question import ask
from reconciler.cli.render.escape import for_line
from reconciler.cli.render.lines import paragraph
from reconciler.wording import count, counted, show_number

if TYPE_CHECKING:
    from reconciler.database.eligibility import Participation
    from reconciler.database.transactions import Database
    from reconciler.operations.safeguard import Acted

Command = TypeVar("Command", bound=Callable[..., Any])


def _said(_context: click.Context, _option: click.Parameter, reason: str) -> str:
    """Return a reason that says something."""
    require_words(reason)
    return reason


def _acting_options(command: Command) -> Command:
    """Add what every acting command takes."""
    for option in (
        click.option("--no-write-back", is_flag=True, help="Leave git alone."),
        click.option("--yes", "-y", is_flag=True, help="Act without asking."),
        click.option(
            "--reason",
            metavar="TEXT",
            required=True,
            callback=_said,
            help="Why; history and git keep it.",
        ),
    ):
        command = option(command)
    return command


@click.command(epilog='Example: reconcile stop --reason "capture jobs time out"')
@_acting_options
@click.pass_context
def stop(context: click.Context, *, reason: str, yes: bool, no_write_back: bool) -> dict[str, Any]:
    """Let nobody in, at once, until somebody resumes."""
    from reconciler.operations import safeguard

    def act(database: "Database", feature: str) -> "Acted":
        return safeguard.stop(database, feature, by=who_acts(), reason=reason)

    request = _Request(settings_of(context), yes, no_write_back)
    return request.act(act, "Stop {feature} for everybody?")


@click.command(epilog='Example: reconcile rollback --to 10 --reason "errors since 25"')
@click.option(
    "--to", type=Percentage(), metavar="PERCENT", required=True, help="What it goes down to."
)
@_acting_options
@click.pass_context
def rollback(
    context: click.Context, *, to: Decimal, reason: str, yes: bool, no_write_back: bool
) -> dict[str, Any]:
    """Take a feature down to a percentage, at once, until somebody resumes."""
    from reconciler.operations import safeguard

    def act(database: "Database", feature: str) -> "Acted":
        return safeguard.roll_back(database, feature, to, by=who_acts(), reason=reason)

    question = f"Roll {{feature}} back to {show_number(to)}?"
    return _Request(settings_of(context), yes, no_write_back).act(act, question)


@click.command(epilog='Example: reconcile resume --reason "fixed by #123"')
@_acting_options
@click.pass_context
def resume(
    context: click.Context, *, reason: str, yes: bool, no_write_back: bool
) -> dict[str, Any]:
    """Lift what limits a feature, at once: it is as the last apply's file means it."""
    from reconciler.operations import safeguard

    def act(database: "Database", feature: str) -> "Acted":
        return safeguard.resume(database, feature, by=who_acts(), reason=reason)

    return _Request(settings_of(context), yes, no_write_back).act(act, "Resume {feature}?")


@dataclass(frozen=True, slots=True)
class _Request:
    """What every acting command was asked beside its act."""

    settings: Settings
    yes: bool
    no_write_back: bool

    def act(self, act: "Callable[[Database, str], Acted]", question: str) -> dict[str, Any]:
        """Ask, act, carry it into git, and return it all; the database's side is told before git's begins."""
        chosen = self.settings.choose_format(Format.TEXT, Format.JSON)
        database = open_database(self.settings, to_write=True)
        feature = self._choose_feature(database)
        if not self.yes and sys.stdin.isatty() and sys.stdout.isatty():
            ask(question.format(feature=for_line(feature)), "nothing was done")
        acted = act(database, feature)
        participation = self._read_participation(database, feature)
        if chosen is Format.TEXT:
            print_result(self.settings, "\n".join(_lines(acted, participation)))
        report = None if self.no_write_back else carry(self.settings, database)
        told = {"eligible": participation.eligible, "write_back": report}
        done = acted_as_json(acted) | told
        if chosen is Format.JSON:
            print_json(self.settings, done)
        elif report is not None and report.overrides:
            print_result(self.settings, report_text(report))
        return done

    def _choose_feature(self, database: "Database") -> str:
        from reconciler.database.live_state import read_feature_names
        from reconciler.database.schema import require_newest
        from reconciler.database.transactions import read_only_transaction

        with read_only_transaction(database) as connection:
            require_newest(connection)
            return choose_feature(self.settings, read_feature_names(connection))

    def _read_participation(self, database: "Database", feature: str) -> "Participation":
        from reconciler.database.eligibility import read_participation
        from reconciler.database.transactions import read_only_transaction

        with read_only_transaction(database) as connection:
            return read_participation(connection, feature)


def acted_as_json(acted: "Acted") -> dict[str, Any]:
    """Return what an act did, as JSON has it."""
    from reconciler.planning.report import report_override

    act, override = acted.act, acted.override
    return {
        "feature": acted.feature,
        "changed": act is not None,
        "before": None if act is None else act.before,
        "after": None if act is None else act.after,
        "override": None if override is None else report_override(override).model_dump(),
    }


def acted_lines(acted: "Acted") -> list[str]:
    """Return what an act did, as people read it."""
    name = click.style(for_line(acted.feature), bold=True)
    act, override = acted.act, acted.override
    if act is None:
        limited = "limited as far already" if override is not None else "not limited"
        lines = [f"{name}: {limited}; nothing was written"]
    else:
        lines = [f"{name}: {_what_happened(acted)}"]
        before, after = show_number(act.before.percentage), show_number(act.after.percentage)
        lines += paragraph("percentage", before if before == after else f"{before} → {after}")
    if override is not None:
        lines += paragraph("override", f"{override.id}, by {for_line(override.by)}")
        lines += paragraph("reason", for_line(override.reason))
    return lines


def _lines(acted: "Acted", participation: "Participation") -> list[str]:
    who = (
        f"{count(participation.eligible)} of {counted(participation.total, 'repository')} "
        "have the feature now"
    )
    return [*acted_lines(acted), *paragraph("who", who)]


def _what_happened(acted: "Acted") -> str:
    match acted.override:
        case None:
            return click.style("resumed", fg="green", bold=True)
        case override if override.percentage is None:
            return click.style("stopped", fg="red", bold=True)
        case override:
            return click.style(
                f"rolled back to {show_number(override.percentage)}", fg="red", bold=True
            )
