"""`reconcile stop`: no repository is eligible, at once."""

from typing import Any

import click

from reconciler.cli.limit_command import change_and_report, limit_options
from reconciler.cli.options import Settings, settings_of


@click.command(epilog='Example: reconcile stop --reason "capture jobs time out"')
@limit_options
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Stop a feature for all repositories, at once, until it is resumed."""
    run(settings_of(context), **options)


def run(settings: Settings, reason: str, **options: Any) -> dict[str, Any]:
    """Stop a feature, print what was done and return it."""
    from reconciler.operations.limit_change import Stop

    question = "Stop {feature} for everybody?"
    return change_and_report(settings, Stop(), question, reason=reason, **options)
