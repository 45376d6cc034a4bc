"""`reconcile categorize`: the category of each repository, by its size."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.completion import complete_repositories
from reconciler.cli.context import open_database
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.text import for_line
from reconciler.wording import count, counted

if TYPE_CHECKING:
    from reconciler.database.categories import Categorized
    from reconciler.database.driver import AnyConnection


@click.command(epilog="Example: reconcile categorize && reconcile categories")
@click.argument(
    "repository", required=False, metavar="[REPOSITORY]", shell_complete=complete_repositories
)
@click.pass_context
def command(context: click.Context, repository: str | None) -> None:
    """Categorise all repositories, or one (owner/name or id), by size; print the changes.

    Repositories marked as test stay test. A second run over unchanged repositories writes nothing.
    """
    run(settings_of(context), repository)


def run(settings: Settings, repository: str | None = None) -> "Categorized":
    """Categorise all repositories, or one, print the changes and return them."""
    from reconciler.database import categories
    from reconciler.database.repositories import find_repository
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import write_transaction

    settings.choose_format(Format.TEXT, Format.JSON)

    def categorize(connection: "AnyConnection") -> "Categorized":
        require_newest(connection)
        if repository is None:
            return categories.categorize(connection)
        return categories.categorize(connection, find_repository(connection, repository).id)

    done = write_transaction(open_database(settings, to_write=True), categorize)
    return show_result(settings, done, lambda: _as_text(done))


def _as_text(done: "Categorized") -> str:
    if not done.written:
        return "no change; every repository is in its category"
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
