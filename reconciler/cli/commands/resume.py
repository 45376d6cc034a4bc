"""`reconcile resume`: no limit, at once."""

from typing import Any

import click

from reconciler.cli.limit_command import Wording, change_and_report, limit_options
from reconciler.cli.options import Settings, settings_of


@click.command(epilog='Example: reconcile resume --reason "fixed by #123"')
@limit_options
@click.option(
    "--allow", type=click.Choice(["freeze"]), help="Resume also while a freeze holds the feature."
)
@click.pass_context
def command(context: click.Context, /, *, allow: str | None, **options: Any) -> None:
    """Remove all limits of a feature at once; the last applied file is in force again."""
    run(settings_of(context), allows_freeze=allow is not None, **options)


def run(
    settings: Settings, reason: str | None, *, allows_freeze: bool = False, **options: Any
) -> dict[str, Any]:
    """Resume a feature, print what was done and return it."""
    from reconciler.operations.limit_change import Resume

    wording = Wording("Resume it?", "health")
    return change_and_report(settings, Resume(allows_freeze), wording, reason=reason, **options)
