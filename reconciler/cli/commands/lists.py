"""`reconcile whitelist|exclude|test-repos`: the lists, as they are live; `add` and `remove` edit the file."""

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.commands.list_edits import FileList, add_editing
from reconciler.cli.context import choose_feature, open_database
from reconciler.cli.options import Settings, settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.escape import for_line

if TYPE_CHECKING:
    from reconciler.database.lists import ListEntry


@click.group(epilog="Example: reconcile whitelist add microsoft/vscode --commit")
def whitelist() -> None:
    """Repositories that are always in, unless excluded."""


@click.group(epilog="Example: reconcile exclude add --owner legacy-org")
def exclude() -> None:
    """Repositories that are never in."""


@click.group(epilog="Example: reconcile test-repos add my-org/test-repo-1")
def test_repos() -> None:
    """Repositories marked as test, for every feature."""


add_editing(whitelist, FileList("whitelist", "whitelist", is_plural=False))
add_editing(exclude, FileList("exclusions", "exclusions"))
add_editing(test_repos, FileList("test_repositories", "test repositories", is_of_a_feature=False))


@whitelist.command("list", epilog="Example: reconcile whitelist list --format json")
@click.pass_context
def list_whitelist(context: click.Context) -> dict[str, Any]:
    """List what is always in."""
    return _list_entries(settings_of(context), "whitelist")


@exclude.command("list", epilog="Example: reconcile exclude list")
@click.pass_context
def list_exclusions(context: click.Context) -> dict[str, Any]:
    """List what is never in."""
    return _list_entries(settings_of(context), "exclusions")


@test_repos.command("list", epilog="Example: reconcile test-repos list")
@click.pass_context
def list_test_repositories(context: click.Context) -> dict[str, Any]:
    """List the repositories that are marked as test."""
    from reconciler.database.lists import read_marked
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction

    settings = settings_of(context)
    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        entries = read_marked(connection)
    return _show(settings, entries, {})


def _list_entries(settings: Settings, name: str) -> dict[str, Any]:
    from reconciler.database.lists import read_list
    from reconciler.database.live_state import read_configurations
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction

    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        feature = choose_feature(settings, read_configurations(connection))
        entries = read_list(connection, feature=feature, name=name)
    return _show(settings, entries, {"feature": feature})


def _show(settings: Settings, entries: "list[ListEntry]", about: dict[str, Any]) -> dict[str, Any]:
    return show_result(
        settings,
        {**about, "entries": entries},
        lambda: "\n".join(map(_line, entries)) or "the list is empty",
    )


def _line(entry: "ListEntry") -> str:
    return for_line(entry.name) if entry.known else f"{for_line(entry.name)}  (not known yet)"
