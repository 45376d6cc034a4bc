"""`reconcile stop`: no repository is eligible, at once."""

from typing import Any, Final

import click

from reconciler.cli.limit_command import Wording, change_and_report, limit_options
from reconciler.cli.options import Settings, settings_of
from reconciler.errors import Unavailable

_OTHER_WAYS: Final = (
    "two other ways to stop: set ROLLOUT_EMERGENCY_STOP=true where the services run, or set active: false "
    "in the rollout file, which takes effect with the next apply"
)


@click.command(epilog='Example: reconcile stop --reason "capture jobs time out"')
@limit_options
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Stop a feature for all repositories, at once, until it is resumed."""
    run(settings_of(context), **options)


def run(settings: Settings, reason: str | None, **options: Any) -> dict[str, Any]:
    """Stop a feature, print what was done and return it."""
    from reconciler.operations.limit_change import Stop

    wording = Wording("Stop it for all repositories?", "verify")
    try:
        return change_and_report(settings, Stop(), wording, reason=reason, **options)
    except Unavailable as error:
        raise Unavailable(f"{error}; {_OTHER_WAYS}") from error
