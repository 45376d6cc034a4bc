"""`reconcile auto-rollback`: automatic rollback in the file."""

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

if TYPE_CHECKING:
    from reconciler.operations.edit import Edit
    from reconciler.rollout_file.model import Rollout


@click.command("auto-rollback", epilog="Example: reconcile auto-rollback off --commit --push")
@click.argument("state", type=click.Choice(["on", "off"]), metavar="on|off")
@editing_options
@click.pass_context
def command(context: click.Context, /, *, state: str, **options: Any) -> int:
    """Turn automatic rollback of a failing feature on or off, in the file."""
    afterwards = Afterwards.make(**options)
    return exit_code(run(settings_of(context), afterwards, is_on=state == "on"))


def run(
    settings: Settings, afterwards: Afterwards = NOTHING_AFTERWARDS, *, is_on: bool
) -> dict[str, Any]:
    """Turn automatic rollback on or off in the file, print the edit and return it."""
    from reconciler.operations.edit import set_auto_rollback

    def edit(rollout: "Rollout", content: bytes) -> "Edit":
        feature = feature_in_file(settings, rollout)
        return set_auto_rollback(content, rollout, feature, is_on=is_on)

    return edit_rollout(settings, edit, afterwards)
