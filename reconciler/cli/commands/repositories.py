"""`reconcile repositories`: load a file of repositories, and list them."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.arguments import FILE
from reconciler.cli.as_of import AS_OF_NOTE, AT_HELP, MomentType, as_of, as_of_words
from reconciler.cli.choices import Name
from reconciler.cli.context import choose_feature, open_database
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import print_json, print_result, show_result
from reconciler.cli.render.escape import for_line
from reconciler.cli.render.table import Column, table
from reconciler.targeting.categories import Activity, Category
from reconciler.targeting.eligibility import is_eligible
from reconciler.wording import count, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from reconciler.database.eligibility import ReadyRepository
    from reconciler.database.repositories import ListedRepository, LoadOutcome
    from reconciler.database.time_travel import Moment, Then


@click.group(epilog="Example: reconcile repositories list --eligible")
def repositories() -> None:
    """The repositories that a rollout chooses from."""


@repositories.command(
    epilog="Example: reconcile repositories load examples/repositories.csv",
)
@click.argument("source", type=FILE, metavar="FILE")
@click.pass_context
def load(context: click.Context, source: str) -> None:
    """Load CSV, TSV or JSON Lines into a stand-alone database, updating what is there.

    Columns: full_name, and if known id, github_id, stars, contributors, pull_requests. A row that
    is wrong is told by its line, and then none is loaded.
    """
    from reconciler.database.repositories import load_repositories
    from reconciler.database.repositories_file import read_repositories
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import write_transaction

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    rows = read_repositories(Path(source))
    database = open_database(settings, to_write=True)

    def load_rows(connection: "Connection") -> "LoadOutcome":
        require_newest(connection)
        return load_repositories(connection, source, rows)

    outcome = write_transaction(database, load_rows)
    if chosen is Format.JSON:
        print_json(settings, outcome)
    else:
        print_result(
            settings,
            f"{for_line(source)}: {counted(len(rows), 'repository')}, {count(outcome.added)} added, "
            f"{count(outcome.updated)} updated, {count(outcome.unchanged)} as they were",
        )


@repositories.command(epilog="Example: reconcile repositories sync --org my-company")
@click.option("--org", metavar="NAME", help="All repositories of this organisation.")
@click.option("--user", metavar="NAME", help="All repositories of this user.")
@click.pass_context
def sync(context: click.Context, *, org: str | None, user: str | None) -> None:
    """Bring names, stars, contributors and pull requests up to date from GitHub.

    For a stand-alone database. Needs GITHUB_TOKEN, and GITHUB_API_URL for a server of your own. Who was
    renamed or has another owner is followed by GitHub's id; contributors are counted again only where
    something was pushed. Ended at any moment and started again, it goes on.
    """
    from reconciler.cli.progress import say_in_between, shown_progress
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
    github = GitHub.from_environment(partial(say_in_between, settings))
    database = open_database(settings, to_write=True)
    with shown_progress(settings) as progress:
        synced = sync_repositories(database, github, kind, login, progress)
    if chosen is Format.JSON:
        print_json(settings, synced)
    else:
        loaded = synced.loaded
        replaced = f"{count(synced.replaced)} gone and replaced; " if synced.replaced else ""
        print_result(
            settings,
            f"{for_line(login)}: {counted(synced.repositories, 'repository')}, "
            f"{count(loaded.added)} added, {count(loaded.updated)} updated, "
            f"{count(loaded.unchanged)} as they were; {count(synced.followed)} followed to another "
            f"owner; {replaced}contributors of {count(synced.counted)} counted",
        )


@repositories.command("list", epilog="Example: reconcile repositories list --category small")
@click.option("--category", type=Name(Category), help="Only this category's.")
@click.option("--test", "only_test", is_flag=True, help="Only test repositories.")
@click.option("--eligible", is_flag=True, help="Only those that get the feature.")
@click.option(
    "--at",
    type=MomentType(),
    metavar="GENERATION|TIME|COMMIT",
    help=f"With --eligible: {AT_HELP[0].lower()}{AT_HELP[1:]}",
)
@click.option("--owner", metavar="NAME", help="Only this owner's.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@click.option(
    "--ready",
    type=click.IntRange(min=1),
    metavar="N",
    help="The next N to take in, by priority and activity; no other filter goes with it.",
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
) -> dict[str, Any]:
    """List repositories with the figures behind their category, by name."""
    if at is not None and not eligible:
        raise click.UsageError("--at goes with --eligible")
    if ready is not None:
        if category or only_test or eligible or owner or limit:
            raise click.UsageError("--ready goes with no other filter")
        return _list_ready(settings_of(context), ready)
    from reconciler.database.live_state import read_configurations
    from reconciler.database.repositories import list_repositories
    from reconciler.database.schema import require_newest
    from reconciler.database.time_travel import read_then
    from reconciler.database.transactions import read_only_transaction

    settings = settings_of(context)
    settings.choose_format(Format.TEXT, Format.JSON)
    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        feature = choose_feature(settings, read_configurations(connection)) if eligible else None
        then = None if at is None or feature is None else read_then(connection, feature, at)
        found = list_repositories(
            connection,
            owner=owner,
            category=None if category is None else Category(category),
            only_test=only_test,
            eligible_for=feature if then is None else None,
            limit=limit if then is None else None,
        )
    if then is None or feature is None:
        return show_result(settings, {"repositories": found}, lambda: _listing(found))
    eligible_then = [each for each in found if _was_in(each, feature, then)][:limit]
    return show_result(
        settings,
        {"feature": feature, "as_of": as_of(then), "repositories": eligible_then},
        lambda: f"as of {as_of_words(then)};\n{AS_OF_NOTE}\n\n{_listing(eligible_then)}",
    )


def _was_in(listed: "ListedRepository", feature: str, then: "Then") -> bool:
    activity = Activity(listed.stars, listed.contributors, listed.pull_requests)
    repository = then.repository(listed.id, listed.full_name, listed.category, activity)
    return is_eligible(feature, then.targeting, repository)


def _list_ready(settings: Settings, most: int) -> dict[str, Any]:
    from reconciler.database.eligibility import read_ready
    from reconciler.database.live_state import read_configurations
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction

    settings.choose_format(Format.TEXT, Format.JSON)
    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        feature = choose_feature(settings, read_configurations(connection))
        found = read_ready(connection, feature, most)
    return show_result(
        settings, {"feature": feature, "repositories": found}, lambda: _ready_listing(found)
    )


def _ready_listing(found: "Sequence[ReadyRepository]") -> str:
    if not found:
        return "nobody is left to take in"
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


def _listing(found: "list[ListedRepository]") -> str:
    if not found:
        return "no repository is like that"
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
