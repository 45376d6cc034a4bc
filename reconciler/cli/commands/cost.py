"""`reconcile cost`: what the jobs of a feature cost, and what they would have cost."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.context import choose_live_feature, open_database, reading_replica
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import fields_of, print_result, show_result
from reconciler.cli.render.text import Column, for_line, line, table
from reconciler.cli.types import Since
from reconciler.escape import text_cell
from reconciler.wording import count, show_price

if TYPE_CHECKING:
    from reconciler.planning.cost import CostLine, CostReport

_UNKNOWN: Final = "-"
_FIELDS: Final = (
    "processor",
    "category",
    "kind",
    "jobs",
    "errors",
    "minutes",
    "price",
    "price_per_success",
)


@click.command(epilog="Example: reconcile cost --since 30d")
@click.option(
    "--since",
    type=Since(),
    metavar="TIME",
    help="Only jobs since a time, or since 30d (30 days ago), which is the default.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print the lines as CSV.")
@click.option(
    "--resolve",
    is_flag=True,
    help="Choose the cheapest processors again, for the rules that ask for it.",
)
@click.pass_context
def command(context: click.Context, *, since: datetime | None, as_csv: bool, resolve: bool) -> None:
    """Show jobs and their price by processor, category and kind, and the price at 0, now and 100 percent."""
    if resolve:
        if as_csv or since is not None:
            raise click.UsageError("--resolve goes with neither --csv nor --since; leave them out")
        run_resolve(settings_of(context))
        return
    run(settings_of(context), since=since, as_csv=as_csv)


def run_resolve(settings: Settings) -> dict[str, Any]:
    """Choose the cheapest processors again, print the choices that changed and return them."""
    from reconciler.operations.cheapest import resolve_cheapest

    settings.choose_format(Format.TEXT, Format.JSON)
    database = open_database(settings, to_write=True)
    features = None if settings.feature is None else [settings.feature]
    resolved = resolve_cheapest(database, features)
    found = {
        "features": [
            {"feature": each.feature, "moves": [move.details() for move in each.moves]}
            for each in resolved
        ]
    }
    lines = [
        f"{for_line(each.feature)}: {for_line(move.sentence)}"
        for each in resolved
        for move in each.moves
    ]
    text = "\n".join(lines) or "no choice changes"
    return show_result(settings, found, lambda: text)


def run(
    settings: Settings, *, since: datetime | None = None, as_csv: bool = False
) -> dict[str, Any]:
    """Print what the jobs of a feature cost, and return it."""
    from reconciler.database.cost import read_cost
    from reconciler.planning.cost import SHOWN_PERIOD

    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    if as_csv and chosen is Format.JSON:
        raise click.UsageError("--csv does not go with --format json; leave one of them out")
    begins_at = since or datetime.now(UTC) - SHOWN_PERIOD
    with reading_replica(settings) as connection:
        feature = choose_live_feature(settings, connection)
        report = read_cost(connection, feature, begins_at)
    found = {**fields_of(report), "since": begins_at, "saved": report.saved}
    if as_csv:
        print_result(settings, _as_csv(report))
        return found
    return show_result(settings, found, lambda: _as_text(report))


def _as_csv(report: "CostReport") -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(_FIELDS)
    for each in report.lines:
        values = fields_of(each)
        writer.writerow([_cell(values[name]) for name in _FIELDS])
    return written.getvalue().removesuffix("\n")


def _cell(value: object) -> object:
    """Return a value for a cell."""
    if isinstance(value, str):
        return text_cell(value)
    return f"{value:.6f}" if isinstance(value, float) else value


def _as_text(report: "CostReport") -> str:
    if not report.lines:
        return "\n".join(["no job is recorded in this time", *_running_lines(report)])
    columns = (
        Column("processor"),
        Column("category"),
        Column("kind"),
        Column("jobs", right=True),
        Column("errors", right=True),
        Column("minutes", right=True),
        Column("price", right=True),
        Column("per success", right=True),
    )
    lines = [
        click.style(for_line(report.feature), bold=True),
        table(columns, map(_row, report.lines)),
        "",
        line("at 0 %", f"{show_price(report.at_0)}   all jobs on the fallback"),
        line("now", f"{show_price(report.now)}   as the jobs ran"),
        line("at 100 %", f"{show_price(report.at_100)}   all repositories eligible, by the rules"),
        line("saved", f"{show_price(report.saved)}   against the fallback alone"),
        *_running_lines(report),
    ]
    unknown = sorted({each.processor for each in report.lines if each.price is None})
    if unknown:
        names = ", ".join(map(for_line, unknown))
        lines.append(line("unknown", f"{names}: no price in processors, or no job has a time"))
    return "\n".join(lines)


def _running_lines(report: "CostReport") -> Iterator[str]:
    """Yield the jobs that run now, if there are any or a processor has a limit."""
    for each in report.running:
        if each.running_of_all or each.concurrency is not None:
            limit = "" if each.concurrency is None else f" of {count(each.concurrency)}"
            others = each.running_of_all - each.running
            of_others = f" ({count(others)} of other features)" if others else ""
            jobs = f"{count(each.running_of_all)}{limit} jobs now{of_others}"
            yield line("running", f"{jobs} on {for_line(each.processor)}")


def _row(each: "CostLine") -> tuple[str, ...]:
    return (
        for_line(each.processor),
        for_line(each.category),
        for_line(each.kind or _UNKNOWN),
        count(each.jobs),
        count(each.errors),
        _UNKNOWN if each.minutes is None else f"{each.minutes:,.1f}",
        show_price(each.price),
        show_price(each.price_per_success),
    )
