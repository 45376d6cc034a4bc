"""`reconcile categorize` and `reconcile categories`: how large the repositories are."""

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.context import open_database
from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.category_table import category_table
from reconciler.cli.render.escape import for_line
from reconciler.wording import count, counted

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from reconciler.database.categories import Categorized


@click.command(epilog="Example: reconcile categorize && reconcile categories")
@click.argument("repository", required=False, metavar="[REPOSITORY]")
@click.pass_context
def categorize(context: click.Context, repository: str | None) -> "Categorized":
    """Categorise all repositories, or one (owner/name or id), by their figures; say what moved.

    Marks as test stay. A second run over unchanged repositories writes nothing.
    """
    from reconciler.database import categories as stored
    from reconciler.database.repositories import find_repository
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import write_transaction

    settings = settings_of(context)
    settings.choose_format(Format.TEXT, Format.JSON)

    def run(connection: "Connection") -> "Categorized":
        require_newest(connection)
        if repository is None:
            return stored.categorize(connection)
        return stored.categorize(connection, find_repository(connection, repository).id)

    done = write_transaction(open_database(settings, to_write=True), run)
    return show_result(settings, done, lambda: _what_moved(done))


@click.command(epilog="Example: reconcile categories --format json")
@click.pass_context
def categories(context: click.Context) -> dict[str, Any]:
    """Show count, stars, contributors, pull requests and mean activity of each category."""
    from reconciler.database.categories import read_category_totals
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction

    settings = settings_of(context)
    settings.choose_format(Format.TEXT, Format.JSON)
    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        totals = read_category_totals(connection)
    return show_result(settings, {"categories": totals}, lambda: category_table(totals))


def _what_moved(done: "Categorized") -> str:
    if not done.written:
        return "nothing changed; every repository is in its category"
    lines = [f"{counted(done.written, 'repository')} written"]
    lines += [
        f"    {each.before or 'new':<10} → {each.after:<10} {count(each.repositories):>9}"
        for each in done.moves
    ]
    shown = [f"{for_line(each.full_name)} → {each.after}" for each in done.names]
    if shown:
        hidden = sum(each.repositories for each in done.moves) - len(shown)
        more = [f"… ({count(hidden)} more)"] if hidden > 0 else []
        lines += ["", *(f"    {line}" for line in [*shown, *more])]
    return "\n".join(lines)
