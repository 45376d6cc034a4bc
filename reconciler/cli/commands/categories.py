"""`reconcile categories`: totals of each category."""

from typing import Any

import click

from reconciler.cli.context import reading
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.category_table import category_table


@click.command(epilog="Example: reconcile categories --format json")
@click.pass_context
def command(context: click.Context) -> None:
    """Show the repositories, stars, contributors, pull requests and mean activity of each category."""
    run(settings_of(context))


def run(settings: Settings) -> dict[str, Any]:
    """Print the totals of each category, and return them."""
    from reconciler.database.categories import read_category_totals

    settings.choose_format(Format.TEXT, Format.JSON)
    with reading(settings) as connection:
        totals = read_category_totals(connection)
    return show_result(settings, {"categories": totals}, lambda: category_table(totals))
