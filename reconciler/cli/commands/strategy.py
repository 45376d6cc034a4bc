"""`reconcile strategy`: the strategy in the file."""

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.edit_command import (
    NOTHING_AFTERWARDS,
    Afterwards,
    edit_rollout,
    editing_options,
    exit_code,
    feature_in_file,
)
from reconciler.cli.options import Settings, settings_of
from rollout_client.targeting.strategy import Strategy

if TYPE_CHECKING:
    from reconciler.operations.edit import Edit
    from reconciler.rollout_file.model import Rollout


@click.command(epilog="Example: reconcile strategy repository_size")
@click.argument(
    "name",
    metavar="NAME",
    shell_complete=lambda _context, _parameter, incomplete: [
        each.value for each in Strategy if each.startswith(incomplete)
    ],
)
@editing_options
@click.pass_context
def command(context: click.Context, /, *, name: str, **options: Any) -> int:
    """Set the strategy in the file: percentage, whitelist or repository_size."""
    return exit_code(run(settings_of(context), name, Afterwards.make(**options)))


def run(
    settings: Settings, name: str, afterwards: Afterwards = NOTHING_AFTERWARDS
) -> dict[str, Any]:
    """Set the strategy in the file, print the edit and return it."""
    from reconciler.operations.edit import set_strategy

    def edit(rollout: "Rollout", content: bytes) -> "Edit":
        return set_strategy(content, rollout, feature_in_file(settings, rollout), name)

    return edit_rollout(settings, edit, afterwards)
