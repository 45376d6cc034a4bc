"""`reconcile stats`: the participation of a rollout."""

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.context import choose_live_feature, reading_replica
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.category_table import category_table
from reconciler.cli.render.text import for_line, paragraph
from reconciler.wording import count, counted

if TYPE_CHECKING:
    from reconciler.database.eligibility import Participation


@click.command(epilog="Example: reconcile stats --feature hybrid_progressive_capture")
@click.pass_context
def command(context: click.Context) -> None:
    """Show participation: the number of all, eligible and active repositories, and their jobs."""
    run(settings_of(context))


def run(settings: Settings) -> dict[str, Any]:
    """Print a feature's participation and the totals of each category, and return them."""
    from reconciler.database.categories import read_category_totals
    from reconciler.database.eligibility import read_participation

    settings.choose_format(Format.TEXT, Format.JSON)
    with reading_replica(settings) as connection:
        feature = choose_live_feature(settings, connection)
        participation = read_participation(connection, feature)
        totals = read_category_totals(connection)
    found = {
        "feature": feature,
        "participation": participation,
        "rate": participation.rate,
        "categories": totals,
    }
    return show_result(
        settings, found, lambda: f"{_as_text(feature, participation)}\n\n{category_table(totals)}"
    )


def _as_text(feature: str, participation: "Participation") -> str:
    by_category = "   ".join(
        f"{category} {count(number)}"
        for category, number in participation.eligible_by_category.items()
        if number
    )
    lines = (
        ("repositories", count(participation.total)),
        ("categorised", count(participation.categorized)),
        ("test", count(participation.test_repositories)),
        ("eligible", f"{count(participation.eligible)} ({100 * participation.rate:.1f} %)"),
        ("", by_category),
        ("active", f"{count(participation.active)} with a job in the window"),
        ("jobs", f"{count(participation.jobs)}, {counted(participation.errors, 'error')}"),
    )
    body = [part for label, text in lines if text for part in paragraph(label, text)]
    return "\n".join([click.style(for_line(feature), bold=True), *body])
