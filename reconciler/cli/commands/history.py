"""`reconcile history`: the audit trail."""

import re
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.choices import Name
from reconciler.cli.context import open_database, require_feature
from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.escape import for_line
from reconciler.cli.render.lines import WIDTH
from reconciler.planning.history import Action
from reconciler.wording import counted, short_commit, show_number, show_time

if TYPE_CHECKING:
    from reconciler.database.history import HistoryEntry

_AGO = re.compile(r"[1-9][0-9]*[smhd]")


class Since(click.ParamType[datetime]):
    """A time, as `2026-11-23`, `2026-11-23T12:00Z`, or how long ago, as `24h`."""

    name = "time"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the time in UTC; a time without a zone is UTC."""
        from reconciler.rollout_file.durations import parse_duration

        try:
            if _AGO.fullmatch(value):
                return datetime.now(UTC) - parse_duration(value)
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time; write 2026-11-23T12:00Z or 24h", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.command(epilog="Example: reconcile history --since 24h --action percentage_changed")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=20,
    show_default=True,
    metavar="N",
    help="At most so many.",
)
@click.option("--since", type=Since(), metavar="TIME", help="A time, or how long ago: 24h.")
@click.option(
    "--action", type=Name(Action), metavar="ACTION", help=f"Only this one of {', '.join(Action)}."
)
@click.pass_context
def history(
    context: click.Context, *, limit: int, since: datetime | None, action: str | None
) -> dict[str, Any]:
    """Show what happened, when, by whom and why; the newest first."""
    from reconciler.database.history import read_history
    from reconciler.database.live_state import read_configurations
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction

    settings = settings_of(context)
    settings.choose_format(Format.TEXT, Format.JSON)
    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        if settings.feature is not None:
            require_feature(settings.feature, read_configurations(connection))
        entries = read_history(
            connection, feature=settings.feature, action=action, since=since, limit=limit
        )
    return show_result(settings, {"history": entries}, lambda: _listing(entries))


def _listing(entries: "list[HistoryEntry]") -> str:
    if not entries:
        return "nothing happened yet"
    return "\n".join(line for entry in entries for line in _lines(entry))


def _lines(entry: "HistoryEntry") -> Iterator[str]:
    """Yield what happened to what, and under it who did it and why."""
    feature = entry.feature_name or "every feature"
    what = (show_time(entry.created_at), feature, entry.action, _what(entry))
    yield from _wrapped("  ".join(for_line(part) for part in what if part), indent="")
    commit = entry.details.get("commit")
    at = f" at {short_commit(str(commit))}" if commit else ""
    why = f": {entry.reason}" if entry.reason else ""
    yield from _wrapped(
        for_line(f"by {entry.triggered_by or 'nobody named'}{at}{why}"), indent="    "
    )


def _wrapped(text: str, *, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _what(entry: "HistoryEntry") -> str:
    """Return the change itself, as far as a row tells: also one that people wrote by hand."""
    details = entry.details
    if entry.previous_percentage is not None and entry.new_percentage is not None:
        # What drifted is named, since the action does not say it.
        drifted = f"{details.get('field')} " if "live" in details else ""
        return f"{drifted}{show_number(entry.previous_percentage)} → {show_number(entry.new_percentage)}"
    if "entry" in details:
        return str(details["entry"])
    if "field" in details and "before" in details:
        # What was taken back was live until then; the last apply knew no other value before.
        is_reverted = entry.action == Action.DRIFT_REVERTED
        before = details.get("live") if is_reverted else details["before"]
        return f"{details['field']} {_shown(before)} → {_shown(details.get('after'))}"
    return "" if entry.new_percentage is None else show_number(entry.new_percentage)


def _shown(value: Any) -> str:
    """Return a value of a row's metadata as people write it."""
    match value:
        case None:
            return "(none)"
        case bool():
            return "on" if value else "off"
        case list():
            return counted(len(value), "entry")
        case dict():
            return ", ".join(f"{key} {_shown(each)}" for key, each in value.items())
        case _:
            return str(value)
