"""The table of categories, as `categories` and `stats` show it."""

from typing import TYPE_CHECKING

from reconciler.cli.render.text import Column, table
from reconciler.wording import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.database.categories import CategoryTotals


def category_table(totals: "Sequence[CategoryTotals]") -> str:
    """Return each category's count, totals and mean activity, a line each."""
    titles = ("repositories", "stars", "contributors", "pull requests", "mean activity")
    columns = (Column("category"), *(Column(title, right=True) for title in titles))
    rows = [
        (
            each.category,
            count(each.repositories),
            count(each.stars),
            count(each.contributors),
            count(each.pull_requests),
            f"{each.mean_activity:.1f}",
        )
        for each in totals
    ]
    return table(columns, rows)
