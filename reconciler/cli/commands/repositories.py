"""`reconcile repositories`: load repositories, and list them."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.context import choose_live_feature, open_database, reading
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import print_json, print_result, show_result
from reconciler.cli.render.as_of import AS_OF_NOTE, AT_HELP, as_of, as_of_words
from reconciler.cli.render.text import Column, for_line, table
from reconciler.cli.types import FILE, MomentType, Name
from reconciler.wording import count, counted
from rollout_client.targeting.categories import Category

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.database.driver import DriverConnection
    from reconciler.database.eligibility import ReadyRepository
    from reconciler.database.repositories import ListedRepository, LoadOutcome
    from reconciler.database.time_travel import Moment


@click.group("repositories", epilog="Example: reconcile repositories list --eligible")
def command() -> None:
    """Load, sync and list the repositories."""


@command.command(epilog="Example: reconcile repositories load examples/repositories.csv")
@click.argument("source", type=FILE, metavar="FILE")
@click.pass_context
def load(context: click.Context, source: str) -> None:
    """Load CSV, TSV or JSON Lines into a stand-alone database; update existing repositories.

    Columns: full_name, and if known id, github_id, stars, contributors, pull_requests. If a row is
    wrong, its line is reported and no row is loaded.
    """
    from reconciler.database.repositories import load_repositories
    from reconciler.database.repositories_file import read_repositories
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import write_transaction

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    rows = read_repositories(Path(source))
    database = open_database(settings, to_write=True, creates=True)

    def load_rows(connection: "DriverConnection") -> "LoadOutcome":
        require_newest(connection)
        return load_repositories(connection, source, rows)

    outcome = write_transaction(database, load_rows)
    if chosen is Format.JSON:
        print_json(settings, outcome)
    else:
        print_result(
            settings,
            f"{for_line(source)}: {counted(len(rows), 'repository')}, {count(outcome.added)} added, "
            f"{count(outcome.updated)} updated, {count(outcome.unchanged)} unchanged",
        )


@command.command(epilog="Example: reconcile repositories sync --org my-company")
@click.option("--org", metavar="NAME", help="All repositories of this organisation.")
@click.option("--user", metavar="NAME", help="All repositories of this user.")
@click.pass_context
def sync(context: click.Context, *, org: str | None, user: str | None) -> None:
    """Update names, stars, contributors and pull requests from GitHub.

    For a stand-alone database. Needs GITHUB_TOKEN, and GITHUB_API_URL for a GitHub server of your
    own. A renamed or transferred repository is recognised by GitHub's id. Contributors are counted
    again only after a push to the repository. An interrupted run continues where it ended.
    """
    from reconciler.cli.output import inform_between, shown_progress
    from reconciler.github.client import GitHub
    from reconciler.github.repository_list import OwnerKind
    from reconciler.github.repository_sync import sync_repositories

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    match org, user:
        case str(login), None:
            kind = OwnerKind.ORGANIZATION
        case None, str(login):
            kind = OwnerKind.USER
        case _:
            raise click.UsageError("name one owner: --org NAME or --user NAME")
    github = GitHub.from_environment(partial(inform_between, settings))
    database = open_database(settings, to_write=True, creates=True)
    with shown_progress(settings) as progress:
        synced = sync_repositories(database, github, kind, login, progress)
    if chosen is Format.JSON:
        print_json(settings, synced)
    else:
        loaded = synced.loaded
        replaced = f"{count(synced.replaced)} deleted and replaced; " if synced.replaced else ""
        print_result(
            settings,
            f"{for_line(login)}: {counted(synced.repositories, 'repository')}, "
            f"{count(loaded.added)} added, {count(loaded.updated)} updated, "
            f"{count(loaded.unchanged)} unchanged; {count(synced.followed)} transferred from another "
            f"owner; {replaced}contributors of {count(synced.counted)} counted",
        )


@command.command("list", epilog="Example: reconcile repositories list --category small")
@click.option("--category", type=Name(Category), help="Only this category.")
@click.option("--test", "only_test", is_flag=True, help="Only test repositories.")
@click.option("--eligible", is_flag=True, help="Only repositories that have the feature.")
@click.option(
    "--at",
    type=MomentType(),
    metavar="GENERATION|TIME|COMMIT",
    help=f"With --eligible: {AT_HELP[0].lower()}{AT_HELP[1:]}",
)
@click.option("--owner", metavar="NAME", help="Only repositories of this owner.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N repositories.")
@click.option(
    "--ready",
    type=click.IntRange(min=1),
    metavar="N",
    help="The next N that are not eligible yet, by priority and activity; no other filter is allowed.",
)
@click.pass_context
def list_(
    context: click.Context,
    *,
    category: str | None,
    only_test: bool,
    eligible: bool,
    at: "Moment | None",
    owner: str | None,
    limit: int | None,
    ready: int | None,
) -> None:
    """List repositories by name, with the numbers that decide their category."""
    settings = settings_of(context)
    if at is not None and not eligible:
        raise click.UsageError("--at needs --eligible")
    if ready is not None:
        if category or only_test or eligible or owner or limit:
            raise click.UsageError("--ready allows no other filter")
        show_ready(settings, ready)
        return
    filters: dict[str, Any] = {
        "owner": owner,
        "category": None if category is None else Category(category),
        "only_test": only_test,
        "limit": limit,
    }
    if not eligible:
        show_list(settings, **filters)
    elif at is None:
        show_eligible(settings, **filters)
    else:
        show_eligible_then(settings, at, **filters)


def show_list(settings: Settings, **filters: Any) -> dict[str, Any]:
    """Print the repositories that pass the filters, and return them."""
    from reconciler.database.repositories import list_repositories

    settings.choose_format(Format.TEXT, Format.JSON)
    with reading(settings) as connection:
        found = list_repositories(connection, **filters)
    return show_result(settings, {"repositories": found}, lambda: _as_text(found))


def show_eligible(settings: Settings, **filters: Any) -> dict[str, Any]:
    """Print the eligible repositories that pass the filters, and return them."""
    from reconciler.database.repositories import list_repositories

    settings.choose_format(Format.TEXT, Format.JSON)
    with reading(settings) as connection:
        feature = choose_live_feature(settings, connection)
        found = list_repositories(connection, eligible_for=feature, **filters)
    return show_result(settings, {"repositories": found}, lambda: _as_text(found))


def show_eligible_then(settings: Settings, at: "Moment", **filters: Any) -> dict[str, Any]:
    """Print the repositories that were eligible at a moment, and return them."""
    from reconciler.operations.past import list_eligible_then

    settings.choose_format(Format.TEXT, Format.JSON)
    with reading(settings) as connection:
        feature = choose_live_feature(settings, connection)
        then, found = list_eligible_then(connection, feature, at, **filters)
    return show_result(
        settings,
        {"feature": feature, "as_of": as_of(then), "repositories": found},
        lambda: f"as of {as_of_words(then)};\n{AS_OF_NOTE}\n\n{_as_text(found)}",
    )


def show_ready(settings: Settings, most: int) -> dict[str, Any]:
    """Print the next repositories to make eligible, and return them."""
    from reconciler.database.eligibility import read_ready

    settings.choose_format(Format.TEXT, Format.JSON)
    with reading(settings) as connection:
        feature = choose_live_feature(settings, connection)
        found = read_ready(connection, feature, most)
    return show_result(
        settings, {"feature": feature, "repositories": found}, lambda: _ready_as_text(found)
    )


def _ready_as_text(found: "Sequence[ReadyRepository]") -> str:
    if not found:
        return "every repository is eligible already, or cannot become eligible"
    columns = (
        Column("repository"),
        Column("category"),
        Column("priority", right=True),
        Column("activity", right=True),
    )
    rows = [
        (for_line(each.full_name), each.category, count(each.priority), count(each.activity))
        for each in found
    ]
    return table(columns, rows)


def _as_text(found: "Sequence[ListedRepository]") -> str:
    if not found:
        return "no repository matches"
    rows = [
        (
            for_line(each.full_name),
            f"{each.category}{' (test)' if each.test and each.category is not Category.TEST else ''}",
            count(each.stars),
            count(each.contributors),
            count(each.pull_requests),
        )
        for each in found
    ]
    columns = (
        Column("repository"),
        Column("category"),
        Column("stars", right=True),
        Column("contributors", right=True),
        Column("pull requests", right=True),
    )
    return table(columns, rows)
