"""`reconcile whitelist|exclude|test-repos`: the lists, as they are live."""

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.opening import choose_feature, open_database
from reconciler.cli.output import print_json, print_result
from reconciler.cli.render.escape import for_line
from reconciler.cli.settings import Format, Settings, settings_of

if TYPE_CHECKING:
    from reconciler.database.lists import ListEntry


@click.group()
def whitelist() -> None:
    """Repositories that are always in, unless excluded."""


@click.group()
def exclude() -> None:
    """Repositories that are never in."""


@click.group()
def test_repos() -> None:
    """Repositories marked as test, for every feature."""


@whitelist.command("list", epilog="Example: reconcile whitelist list --format json")
@click.pass_context
def list_whitelist(context: click.Context) -> None:
    """List what is always in."""
    _list_entries(settings_of(context), "whitelist")


@exclude.command("list", epilog="Example: reconcile exclude list")
@click.pass_context
def list_exclusions(context: click.Context) -> None:
    """List what is never in."""
    _list_entries(settings_of(context), "exclusions")


@test_repos.command("list", epilog="Example: reconcile test-repos list")
@click.pass_context
def list_test_repositories(context: click.Context) -> None:
    """List the repositories that are marked as test."""
    from reconciler.database.lists import read_marked
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction

    settings = settings_of(context)
    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        entries = read_marked(connection)
    _show(settings, entries, {})


def _list_entries(settings: Settings, name: str) -> None:
    from reconciler.database.lists import read_list
    from reconciler.database.live import read_configurations
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction

    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        feature = choose_feature(settings, read_configurations(connection))
        entries = read_list(connection, feature=feature, name=name)
    _show(settings, entries, {"feature": feature})


def _show(settings: Settings, entries: "list[ListEntry]", about: dict[str, Any]) -> None:
    if settings.choose_format(Format.TEXT, Format.JSON) is Format.JSON:
        print_json(settings, {**about, "entries": entries})
    elif not entries:
        print_result(settings, "the list is empty")
    else:
        print_result(settings, "\n".join(map(_line, entries)))


def _line(entry: "ListEntry") -> str:
    return for_line(entry.name) if entry.known else f"{for_line(entry.name)}  (not known yet)"
