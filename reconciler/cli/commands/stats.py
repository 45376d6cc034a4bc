"""`reconcile stats`: how far the rollout has come."""

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.context import choose_feature, open_database
from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.category_table import category_table
from reconciler.cli.render.escape import for_line
from reconciler.wording import count

if TYPE_CHECKING:
    from reconciler.database.eligibility import Participation


@click.command(epilog="Example: reconcile stats --feature hybrid_progressive_capture")
@click.pass_context
def stats(context: click.Context) -> dict[str, Any]:
    """Show participation: how many repositories there are, are eligible and active, and their jobs."""
    from reconciler.database.categories import read_category_totals
    from reconciler.database.eligibility import read_participation
    from reconciler.database.live_state import read_configurations
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction

    settings = settings_of(context)
    settings.choose_format(Format.TEXT, Format.JSON)
    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        feature = choose_feature(settings, read_configurations(connection))
        participation = read_participation(connection, feature)
        totals = read_category_totals(connection)
    found = {
        "feature": feature,
        "participation": participation,
        "rate": participation.rate,
        "categories": totals,
    }
    return show_result(
        settings, found, lambda: f"{_figures(feature, participation)}\n\n{category_table(totals)}"
    )


def _figures(feature: str, participation: "Participation") -> str:
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
        ("jobs", f"{count(participation.jobs)}, {count(participation.errors)} errors"),
    )
    body = "\n".join(f"    {label:<14}{text}" for label, text in lines if text)
    return f"{click.style(for_line(feature), bold=True)}\n{body}"
