"""`reconcile rollback`: a lower percentage, at once."""

from decimal import Decimal
from typing import Any

import click

from reconciler.cli.limit_command import Wording, change_and_report, limit_options
from reconciler.cli.options import Settings, settings_of
from reconciler.cli.types import Percentage
from reconciler.wording import show_number


@click.command(epilog='Example: reconcile rollback --to 10 --reason "errors since 25"')
@click.option(
    "--to",
    type=Percentage(),
    metavar="PERCENT",
    required=True,
    help="The percentage to go down to.",
)
@limit_options
@click.pass_context
def command(context: click.Context, /, *, to: Decimal, **options: Any) -> None:
    """Lower the percentage of a feature, at once, until it is resumed."""
    run(settings_of(context), to, **options)


def run(settings: Settings, to: Decimal, reason: str | None, **options: Any) -> dict[str, Any]:
    """Roll a feature back, print what was done and return it."""
    from reconciler.operations.limit_change import RollBack

    wording = Wording(f"Roll it back to {show_number(to)}?", "verify")
    return change_and_report(settings, RollBack(to), wording, reason=reason, **options)
