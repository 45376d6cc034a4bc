"""`reconcile resume`: no limit, at once."""

from typing import Any

import click

from reconciler.cli.limit_command import Wording, change_and_report, limit_options
from reconciler.cli.options import Settings, settings_of


@click.command(epilog='Example: reconcile resume --reason "fixed by #123"')
@limit_options
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Remove all limits of a feature at once; the last applied file is in force again."""
    run(settings_of(context), **options)


def run(settings: Settings, reason: str | None, **options: Any) -> dict[str, Any]:
    """Resume a feature, print what was done and return it."""
    from reconciler.operations.limit_change import Resume

    wording = Wording("Resume it?", "health")
    return change_and_report(settings, Resume(), wording, reason=reason, **options)
