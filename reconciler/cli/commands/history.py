"""`reconcile history`: the audit trail."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.context import choose_live_feature, reading_replica
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import print_result, show_result
from reconciler.cli.render.text import for_line, wrapped
from reconciler.cli.types import Name, Since
from reconciler.planning.history import Action
from reconciler.wording import short_commit, show_time

if TYPE_CHECKING:
    from reconciler.database.history import HistoryEntry


@click.command(epilog="Example: reconcile history --since 24h --action percentage_changed")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=20,
    show_default=True,
    metavar="N",
    help="At most N entries.",
)
@click.option(
    "--since",
    type=Since(),
    metavar="TIME",
    help="Only entries since a time, or since 24h (24 hours ago).",
)
@click.option(
    "--action",
    type=Name(Action),
    metavar="ACTION",
    help=f"Only this action, one of {', '.join(Action)}.",
)
@click.pass_context
def command(
    context: click.Context, *, limit: int, since: datetime | None, action: str | None
) -> None:
    """Show the audit trail: each change with its time, author and reason; the newest first.

    With --format csv it is a table for a spreadsheet.
    """
    run(settings_of(context), limit=limit, since=since, action=action)


def run(
    settings: Settings,
    *,
    limit: int,
    since: datetime | None = None,
    action: str | None = None,
) -> dict[str, Any]:
    """Print the newest entries of the audit trail, and return them."""
    from reconciler.database.history import HistoryFilter, read_history_page

    chosen = settings.choose_format(Format.TEXT, Format.JSON, Format.CSV)
    with reading_replica(settings) as connection:
        if settings.feature is not None:
            choose_live_feature(settings, connection)
        wanted = HistoryFilter(settings.feature, action, since=since)
        entries = read_history_page(connection, wanted, limit=limit).entries
    if chosen is Format.CSV:
        from reconciler.database.history_csv import csv_lines

        print_result(settings, "".join(csv_lines(entries)).removesuffix("\r\n"))
        return {"history": entries}
    return show_result(settings, {"history": entries}, lambda: _as_text(entries))


def _as_text(entries: "Sequence[HistoryEntry]") -> str:
    if not entries:
        return "the history has no entry that matches"
    lines: list[str] = []
    for _, group in groupby(entries, _cause):
        lines += _lines(list(group))
    return "\n".join(lines)


def _cause(entry: "HistoryEntry") -> tuple[object, ...]:
    """Return the common values of the entries of one apply or one action."""
    by, commit = entry.triggered_by, entry.details.get("commit")
    return entry.created_at, by, entry.reason, commit, entry.approval


def _lines(entries: "Sequence[HistoryEntry]") -> Iterator[str]:
    """Yield the changes of one apply or action, and under them the person and the reason."""
    for entry in entries:
        feature = entry.feature_name or "all features"
        what = (show_time(entry.created_at), feature, entry.action, entry.change)
        yield from wrapped("  ".join(for_line(part) for part in what if part))
    entry = entries[0]
    commit = entry.details.get("commit")
    at = f" at {short_commit(str(commit))}" if commit else ""
    why = f": {entry.reason}" if entry.reason else ""
    yield from wrapped(
        for_line(f"by {entry.triggered_by or 'an unknown person'}{at}{why}"), indent="    "
    )
    if entry.approval:
        yield from wrapped(for_line(f"approved by {entry.approval}"), indent="    ")
