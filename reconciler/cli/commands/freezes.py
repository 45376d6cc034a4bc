"""`reconcile freezes`: which freezes hold at a time, until when, and which come next."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.options import settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.text import for_line, paragraph
from reconciler.cli.types import Since
from reconciler.wording import exact_time, show_time

if TYPE_CHECKING:
    from reconciler.planning.freezes import Window


@click.command(epilog="Example: reconcile freezes --at 2026-12-18T15:00Z")
@click.option(
    "--at", type=Since(), metavar="TIME", help="The time that is asked about; default: now."
)
@click.pass_context
def command(context: click.Context, *, at: datetime | None) -> None:
    """Show the freezes of the file: which hold now, until when, and which come next.

    An apply asks the clock of the database; this command needs no database and asks this machine.
    """
    from reconciler.planning.freezes import current, find_hold, of_feature, upcoming
    from reconciler.rollout_file import read_rollout_file

    settings = settings_of(context)
    rollout = read_rollout_file(settings.path).rollout
    moment = datetime.now(UTC) if at is None else at
    holding, following = current(rollout.freezes, moment), upcoming(rollout.freezes, moment)
    holds = {
        name: find_hold(of_feature(rollout.freezes, name), moment) for name in rollout.features
    }
    until = {name: exact_time(each.until) for name, each in holds.items() if each is not None}

    def text() -> str:
        lines = [f"at {show_time(moment)}"]
        for title, windows in (("holds", holding), ("next", following)):
            lines += _lines(title, windows)
        lines += [
            part
            for name, each in holds.items()
            if each is not None
            for part in paragraph("frozen", for_line(f"{name}, until {each.last.shown_end}"))
        ]
        return "\n".join(lines)

    data: dict[str, Any] = {
        "at": exact_time(moment),
        "current": [_as_json(each) for each in holding],
        "next": [_as_json(each) for each in following],
        "frozen_until": until,
    }
    show_result(settings, data, text)


def _lines(title: str, windows: Iterable["Window"]) -> Iterator[str]:
    found = [*windows]
    for each in found:
        of = f"; features {', '.join(each.freeze.features)}" if each.freeze.features else ""
        yield from paragraph(title, for_line(f"{each.freeze.name}: {each.shown_times}{of}"))
    if not found:
        yield from paragraph(title, "no freeze")


def _as_json(window: "Window") -> dict[str, Any]:
    return {
        "name": window.freeze.name,
        "zone": window.freeze.zone,
        "features": list(window.freeze.features),
        "begin": exact_time(window.begin),
        "end": exact_time(window.end),
    }
