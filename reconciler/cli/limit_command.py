"""The parts of `stop`, `rollback` and `resume`: their options, the question, the act and its report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.cli.context import actor, choose_feature, choose_features, open_database, outbox_of
from reconciler.cli.options import Format, Settings
from reconciler.cli.output import ask, can_ask, print_json, print_result, prompt
from reconciler.cli.render.text import for_line, paragraph
from reconciler.cli.types import as_text, require_reason
from reconciler.cli.write_back_report import report_text, write_back_and_warn, write_back_option
from reconciler.errors import NotFound, Refused
from reconciler.wording import count, counted, show_number

if TYPE_CHECKING:
    from reconciler.database.transactions import Database
    from reconciler.operations.limit_change import Changed, Forecast, LimitChange
    from reconciler.operations.safeguard import Acted
    from reconciler.planning.drift import Drift

Command = TypeVar("Command", bound=Callable[..., Any])


def limit_options(command: Command) -> Command:
    """Add the options of every command that changes the limit."""
    for option in (
        write_back_option(),
        click.option("--yes", "-y", is_flag=True, help="Do it without a question."),
        click.option(
            "--reason",
            metavar="TEXT",
            help="The reason, for history and git; a terminal asks for it.",
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one command that changes the limit."""

    question: str
    """The end of the question, such as `Stop?`."""
    next_step: str
    """What to do after it; without `reconcile`."""


def change_and_report(
    settings: Settings,
    change: "LimitChange",
    wording: Wording,
    *,
    reason: str | None,
    yes: bool = False,
    writes_back: bool | None = None,
) -> dict[str, Any]:
    """Ask, change the limit in the database, print it, write back to git, print that; return everything.

    The effect, and whether the action is possible, are checked before any question.
    """
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    asks = can_ask()
    if reason is None and not asks:
        raise click.UsageError("Missing option '--reason'")
    if reason is not None:
        require_reason(reason)
    database = open_database(settings, to_write=True)
    feature = settings.feature
    if feature is None or asks:
        feature = choose_feature(settings, sorted(choose_features(settings, database)))
    if asks and not (yes and reason is not None):
        question = None if yes else wording.question
        reason = _ask_first(settings, database, feature, change, question, reason=reason)
    changed = _change(settings, database, feature, change, reason=reason or "")
    if chosen is Format.TEXT:
        print_result(settings, "\n".join(_lines(changed)))
    report = write_back_and_warn(settings, database, requested=writes_back)
    done = acted_as_json(changed.acted) | {"eligible": changed.eligible, "write_back": report}
    if chosen is Format.JSON:
        print_json(settings, done)
    elif report is not None and report.overrides:
        print_result(settings, report_text(report))
    if changed.acted.act is not None:
        settings.inform(f"Next: {settings.program} {wording.next_step}")
    return done


def _ask_first(
    settings: Settings,
    database: "Database",
    feature: str,
    change: "LimitChange",
    question: str | None,
    *,
    reason: str | None,
) -> str:
    """Print the effect, ask for a reason that is not given and ask the question; return the reason."""
    from reconciler.operations.limit_change import forecast

    expected = forecast(database, feature, change)
    if expected.hold is not None:
        raise Refused(
            f"{expected.hold.sentence}; nothing was written; to resume in it, add --allow freeze"
        )
    settings.inform(_expectation(feature, expected))
    reason = ask_for_reason() if reason is None else reason
    if question is not None and expected.act is not None:
        ask(question, "nothing was done")
    return reason


def _change(
    settings: Settings, database: "Database", feature: str, change: "LimitChange", *, reason: str
) -> "Changed":
    from reconciler.operations.limit_change import change_limit

    emit = outbox_of(database)
    try:
        return change_limit(database, feature, change, by=actor(settings), reason=reason, emit=emit)
    except NotFound:
        # The names of the others are read only here, so that a stop does not wait for them.
        choose_features(settings, database)
        raise


def ask_for_reason() -> str:
    """Ask for the reason until one is given."""
    while True:
        reason: str = prompt("Reason")
        if reason.strip():
            return as_text(reason)


def _expectation(feature: str, expected: "Forecast") -> str:
    """Return the effect of an action, for the question about it."""
    if expected.act is None:
        return f"{for_line(feature)}: nothing would change"
    before, after = expected.act.before.percentage, expected.act.after.percentage
    effect = expected.effect
    repositories = (
        "the repositories could not be counted"
        if effect is None
        else f"{count(effect.before)} → {count(effect.after)} of "
        f"{counted(effect.repositories, 'repository')}"
    )
    lines = [
        f"{for_line(feature)}: {show_number(before)} → {show_number(after)} percent, {repositories}"
    ]
    return "\n".join([*lines, *_reverted_lines(expected.reverted)])


def _reverted_lines(reverted: "Sequence[Drift]") -> list[str]:
    from reconciler.planning.drift import describe_change

    return [
        line
        for each in reverted
        for line in paragraph(
            "reverted",
            for_line(f"{each.field.column} {describe_change(each)}, changed live by hand"),
            "yellow",
        )
    ]


def acted_as_json(acted: "Acted") -> dict[str, Any]:
    """Return the effect of an action, for JSON."""
    from reconciler.planning.report import report_drift, report_override

    act, override = acted.act, acted.override
    return {
        "feature": acted.feature,
        "changed": act is not None,
        "before": None if act is None else act.before,
        "after": None if act is None else act.after,
        "override": None if override is None else report_override(override).model_dump(),
        "reverted": [report_drift(each).model_dump(mode="json") for each in acted.reverted],
    }


def acted_lines(acted: "Acted") -> list[str]:
    """Return the effect of an action, as lines of text."""
    name = click.style(for_line(acted.feature), bold=True)
    act, override = acted.act, acted.override
    if act is None:
        lines = [f"{name}: {_unchanged(acted)}; nothing was written"]
    else:
        lines = [f"{name}: {_outcome(acted)}"]
        before, after = show_number(act.before.percentage), show_number(act.after.percentage)
        lines += paragraph("percentage", before if before == after else f"{before} → {after}")
    if override is not None:
        lines += paragraph("override", f"{override.id}, by {for_line(override.by)}")
        lines += paragraph("reason", for_line(override.reason))
    return [*lines, *_reverted_lines(acted.reverted)]


def _lines(changed: "Changed") -> list[str]:
    if changed.eligible is None or changed.total is None:
        repositories = f"not counted: {changed.problem}"
    else:
        total = counted(changed.total, "repository")
        repositories = f"{count(changed.eligible)} of {total} have the feature now"
    return [*acted_lines(changed.acted), *paragraph("eligible", repositories)]


def _unchanged(acted: "Acted") -> str:
    override = acted.override
    if override is None:
        return "not limited"
    limit = "stopped" if override.percentage is None else f"at {show_number(override.percentage)}"
    at = override.at.astimezone(UTC)
    on = "" if at.date() == acted.at.astimezone(UTC).date() else f"{at:%Y-%m-%d} "
    by, reason = for_line(override.by), for_line(override.reason)
    return f"already {limit} by {by} at {on}{at:%H:%M} ({reason})"


def _outcome(acted: "Acted") -> str:
    match acted.override:
        case None:
            return click.style("resumed", fg="green", bold=True)
        case override if override.percentage is None:
            return click.style("stopped", fg="red", bold=True)
        case override:
            return click.style(
                f"rolled back to {show_number(override.percentage)}", fg="red", bold=True
            )
