"""`reconcile set`, `strategy`, `auto-rollback`: one value of the file."""

import re
from decimal import Decimal
from typing import Any, Final

import click

from reconciler.cli.file_edit import Edit, edit_file, editing_options, feature_in_file, read_rollout
from reconciler.cli.options import Settings
from reconciler.targeting.strategy import Strategy
from reconciler.wording import show_number

_NUMBER: Final = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) ?%?")


@click.command("set", epilog='Example: reconcile set 25 --commit --reason "Take small ones in"')
@click.argument("percent", metavar="PERCENT")
@editing_options
@click.pass_context
def set_command(context: click.Context, /, *, percent: str, **options: Any) -> dict[str, Any]:
    """Set the percentage in the file, from 0 to 100 with at most two decimals."""
    written = _NUMBER.fullmatch(percent)
    # What is no number, or too large a one, is the reader's to refuse.
    value = percent if written is None else Decimal(written[1])

    def edit(settings: Settings, content: bytes) -> Edit:
        from reconciler.rollout_file.editing import with_value

        rollout = read_rollout(content)
        feature = feature_in_file(settings, rollout)
        shown = value if isinstance(value, str) else show_number(value)
        if rollout.features[feature].percentage == value:
            return Edit(
                feature, content, _set_to(feature, shown), (f"{feature} is at {shown} already",)
            )
        edited = with_value(content, ("features", feature, "percentage"), value)
        return Edit(feature, edited, _set_to(feature, shown))

    return edit_file(context, edit, options)


def _set_to(feature: str, shown: str) -> str:
    return f"Set {feature} to {shown} percent"


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
def strategy(context: click.Context, /, *, name: str, **options: Any) -> dict[str, Any]:
    """Set the strategy in the file: percentage, whitelist or repository_size."""

    def edit(settings: Settings, content: bytes) -> Edit:
        from reconciler.rollout_file.editing import with_value

        rollout = read_rollout(content)
        feature = feature_in_file(settings, rollout)
        message = f"Decide {feature} by the strategy {name}"
        if rollout.features[feature].strategy == name:
            return Edit(
                feature, content, message, (f"the strategy of {feature} is {name} already",)
            )
        return Edit(feature, with_value(content, ("features", feature, "strategy"), name), message)

    return edit_file(context, edit, options)


@click.command("auto-rollback", epilog="Example: reconcile auto-rollback off --commit --push")
@click.argument("state", type=click.Choice(["on", "off"]), metavar="on|off")
@editing_options
@click.pass_context
def auto_rollback(context: click.Context, /, *, state: str, **options: Any) -> dict[str, Any]:
    """Say in the file whether a failing feature is rolled back at once, without a person."""
    is_on = state == "on"

    def edit(settings: Settings, content: bytes) -> Edit:
        from reconciler.rollout_file.editing import with_value

        rollout = read_rollout(content)
        feature = feature_in_file(settings, rollout)
        message = f"Turn automatic rollback of {feature} {state}"
        if rollout.features[feature].health.auto_rollback is is_on:
            remark = f"automatic rollback of {feature} is {state} already"
            return Edit(feature, content, message, (remark,))
        path = ("features", feature, "health", "auto_rollback")
        return Edit(feature, with_value(content, path, is_on), message)

    return edit_file(context, edit, options)


# The word is Python's own, so that only a look-up by name can ask for the command.
vars()["set"] = set_command
