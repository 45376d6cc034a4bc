"""`reconcile freeze`: the freezes in the file."""

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.edit_command import Afterwards, edit_rollout, editing_options, exit_code
from reconciler.cli.options import settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.text import for_line, paragraph

if TYPE_CHECKING:
    from reconciler.operations.edit import Edit
    from reconciler.rollout_file.model import Rollout


@click.group(
    "freeze", epilog='Example: reconcile freeze add weekend --from "fri 16:00" --to "mon 08:00"'
)
def command() -> None:
    """Freezes in the file: times in which no audience widens."""


@command.command(epilog='Example: reconcile freeze add weekend --from "fri 16:00" --to "mon 08:00"')
@click.argument("name", metavar="NAME")
@click.option(
    "--from", "begin", metavar="TIME", required=True, help="fri 16:00, or 2026-12-18 16:00."
)
@click.option(
    "--to", "end", metavar="TIME", required=True, help="The first minute after it, likewise."
)
@click.option("--zone", metavar="ZONE", help="The zone of both times; default: UTC.")
@click.option(
    "--only",
    "features",
    multiple=True,
    metavar="FEATURE",
    help="Freeze only this feature; may be repeated.",
)
@editing_options
@click.pass_context
def add(
    context: click.Context,
    /,
    *,
    name: str,
    begin: str,
    end: str,
    zone: str | None,
    features: tuple[str, ...],
    **options: Any,
) -> int:
    """Add a freeze to the file: each week, or from one day to another."""
    from reconciler.operations.edit_freezes import add_freeze

    given = {"name": name, "zone": zone, "from": begin, "to": end, "features": features}
    values = {key: value for key, value in given.items() if value}

    def edit(rollout: "Rollout", content: bytes) -> "Edit":
        return add_freeze(content, rollout, values)

    return exit_code(edit_rollout(settings_of(context), edit, Afterwards.make(**options)))


@command.command(epilog="Example: reconcile freeze remove weekend --commit")
@click.argument("name", metavar="NAME")
@editing_options
@click.pass_context
def remove(context: click.Context, /, *, name: str, **options: Any) -> int:
    """Remove a freeze from the file."""
    from reconciler.operations.edit_freezes import remove_freeze

    def edit(rollout: "Rollout", content: bytes) -> "Edit":
        return remove_freeze(content, rollout, name)

    return exit_code(edit_rollout(settings_of(context), edit, Afterwards.make(**options)))


@command.command("list", epilog="Example: reconcile freeze list --format json")
@click.pass_context
def list_(context: click.Context) -> None:
    """List the freezes in the file."""
    from reconciler.rollout_file import read_rollout_file

    settings = settings_of(context)
    freezes = read_rollout_file(settings.path).rollout.freezes

    def text() -> str:
        lines = [part for each in freezes for part in paragraph(for_line(each.name), each.summary)]
        return "\n".join(lines) or "the file has no freeze"

    show_result(settings, {"freezes": [each.model_dump(mode="json") for each in freezes]}, text)
