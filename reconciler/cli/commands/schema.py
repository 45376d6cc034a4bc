"""`reconcile schema`: print the JSON Schema of a rollout file, of a plan, or of a notification."""

import click

from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_json


@click.command(epilog="Example: reconcile schema > rollout.schema.json")
@click.argument(
    "what",
    type=click.Choice(["rollout", "plan", "notification"]),
    default="rollout",
    metavar="[plan|notification]",
)
@click.pass_context
def command(context: click.Context, what: str) -> None:
    """Print the JSON Schema (2020-12) of rollout.yaml, of a plan's JSON, or of a notification."""
    settings = settings_of(context)
    settings.choose_format(Format.TEXT, Format.JSON)
    if what == "notification":
        from reconciler.notifications.webhook import notification_schema

        print_json(settings, notification_schema())
    elif what == "plan":
        from reconciler.planning.report import plan_schema

        print_json(settings, plan_schema())
    else:
        from reconciler.rollout_file import rollout_schema

        print_json(settings, rollout_schema())
