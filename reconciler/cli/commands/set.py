"""`reconcile set`: the percentage in the file."""

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

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

_NUMBER: Final = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) ?%?")


@click.command("set", epilog='Example: reconcile set 25 --commit --reason "Add small repositories"')
@click.argument("percent", metavar="PERCENT")
@editing_options
@click.pass_context
def command(context: click.Context, /, *, percent: str, **options: Any) -> int:
    """Set the percentage in the file, from 0 to 100 with at most two decimals."""
    return exit_code(run(settings_of(context), percent, Afterwards.make(**options)))


def run(
    settings: Settings, percent: str, afterwards: Afterwards = NOTHING_AFTERWARDS
) -> dict[str, Any]:
    """Set the percentage in the file, print the edit and return it."""
    from reconciler.operations.edit import set_percentage

    number = _NUMBER.fullmatch(percent)
    # The file's reader refuses text that is not a number, and a number that is too large.
    percentage = percent if number is None else Decimal(number[1])

    def edit(rollout: "Rollout", content: bytes) -> "Edit":
        return set_percentage(content, rollout, feature_in_file(settings, rollout), percentage)

    return edit_rollout(settings, edit, afterwards)
