"""The parts of `whitelist`, `exclude` and `test-repos`: `add` and `remove` edit the file, `list` reads."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.completion import complete_repositories
from reconciler.cli.context import choose_live_feature, reading
from reconciler.cli.edit_command import (
    NOTHING_AFTERWARDS,
    Afterwards,
    edit_rollout,
    editing_options,
    exit_code,
    feature_in_file,
)
from reconciler.cli.options import Settings, settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.text import for_line, wrapped
from reconciler.errors import ReconcilerError
from reconciler.rollout_file.list_entries import entry_key

if TYPE_CHECKING:
    from reconciler.database.lists import ListEntry
    from reconciler.operations.edit import Edit
    from reconciler.operations.edit_list import FoundList
    from reconciler.rollout_file.model import Rollout

_OWNER_HELP = "All repositories of this owner: the entry NAME/*."


def add_list_commands(group: click.Group, key: str, words: str) -> None:
    """Give the group of a list its commands `add`, `remove` and `list`.

    Args:
        group: the group.
        key: the list's key in the file.
        words: its name in a sentence.
    """
    name = group.name
    examples = {
        "add": f"Example: reconcile {name} add microsoft/vscode --owner my-company",
        "remove": f'Example: reconcile {name} remove acme/tools --commit --reason "Obsolete"',
        "list": f"Example: reconcile {name} list --format json",
    }

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        entries = _entries_in_file(settings_of(context), key) or ()
        return [each for each in entries if each.startswith(incomplete)]

    @group.command(epilog=examples["add"], help=f"Add entries to the {words} in the file.")
    @click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_repositories)
    @click.option("--owner", "owners", multiple=True, metavar="NAME", help=_OWNER_HELP)
    @editing_options
    @click.pass_context
    def add(
        context: click.Context, /, *, names: Sequence[str], owners: Sequence[str], **options: Any
    ) -> int:
        afterwards = Afterwards.make(**options)
        return exit_code(
            add_entries(settings_of(context), key, _entries(names, owners), afterwards)
        )

    @group.command(epilog=examples["remove"], help=f"Remove entries from the {words} in the file.")
    @click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete)
    @click.option("--owner", "owners", multiple=True, metavar="NAME", help=_OWNER_HELP)
    @editing_options
    @click.pass_context
    def remove(
        context: click.Context, /, *, names: Sequence[str], owners: Sequence[str], **options: Any
    ) -> int:
        afterwards = Afterwards.make(**options)
        return exit_code(
            remove_entries(settings_of(context), key, _entries(names, owners), afterwards)
        )

    @group.command("list", epilog=examples["list"], help=f"List the live {words}.")
    @click.pass_context
    def list_(context: click.Context) -> None:
        show_entries(settings_of(context), key)


def add_entries(
    settings: Settings,
    key: str,
    names: Sequence[str],
    afterwards: Afterwards = NOTHING_AFTERWARDS,
) -> dict[str, Any]:
    """Add entries to a list of the file, print the edit and return it."""

    def edit(rollout: "Rollout", content: bytes) -> "Edit":
        return _find_list(settings, key, rollout).add(content, names)

    return edit_rollout(settings, edit, afterwards)


def remove_entries(
    settings: Settings,
    key: str,
    names: Sequence[str],
    afterwards: Afterwards = NOTHING_AFTERWARDS,
) -> dict[str, Any]:
    """Remove entries from a list of the file, print the edit and return it."""

    def edit(rollout: "Rollout", content: bytes) -> "Edit":
        return _find_list(settings, key, rollout).remove(content, names)

    return edit_rollout(settings, edit, afterwards)


def show_entries(settings: Settings, key: str) -> dict[str, Any]:
    """Print a live list, and return it."""
    from reconciler.database.lists import read_list, read_marked

    with reading(settings) as connection:
        if key == "test_repositories":
            about: dict[str, Any] = {}
            entries = read_marked(connection)
        else:
            feature = choose_live_feature(settings, connection)
            about = {"feature": feature}
            entries = read_list(connection, feature=feature, name=key)

    def text() -> str:
        lines = [*map(_line, entries)] or ["the list is empty"]
        return "\n".join([*lines, *_difference(settings, key, entries)])

    return show_result(settings, {**about, "entries": entries}, text)


def _difference(settings: Settings, key: str, live: "Sequence[ListEntry]") -> Iterator[str]:
    """Yield the entries that only the file has, and those that only the live list has."""
    in_file = _entries_in_file(settings, key)
    if in_file is None:
        return
    live_names = {entry_key(each.name) for each in live} | {each.key for each in live}
    file_keys = {entry_key(each) for each in in_file}
    only_file = [each for each in in_file if entry_key(each) not in live_names]
    only_live = [each.name for each in live if not {entry_key(each.name), each.key} & file_keys]
    for title, names in (
        (f"only in {settings.file}, not applied yet", only_file),
        (f"only live, not in {settings.file}", only_live),
    ):
        if names:
            yield from wrapped(for_line(f"{title}: {', '.join(names)}"))


def _find_list(settings: Settings, key: str, rollout: "Rollout") -> "FoundList":
    from reconciler.operations.edit_list import FileList, FoundList

    edited: FileList = FileList.of_key(key)
    feature = feature_in_file(settings, rollout) if edited.is_of_a_feature else None
    return FoundList.of(edited, rollout, feature)


def _entries(names: Sequence[str], owners: Sequence[str]) -> list[str]:
    entries = [*names, *(f"{owner}/*" for owner in owners)]
    if not entries:
        raise click.UsageError("name a repository, as owner/name or id, or an owner with --owner")
    return distinct(entries)


def distinct(entries: Iterable[str]) -> list[str]:
    """Return entries without those that the file treats as the same."""
    return list({entry_key(each): each for each in entries}.values())


def _entries_in_file(settings: Settings, key: str) -> Sequence[str] | None:
    """Return the entries of a list in the file; None if the file has no such list to read."""
    from reconciler.rollout_file import read_rollout_file

    try:
        rollout = read_rollout_file(settings.path).rollout
        return _find_list(settings, key, rollout).entries
    except (ReconcilerError, click.ClickException):
        return None


def _line(entry: "ListEntry") -> str:
    return for_line(entry.name) if entry.known else f"{for_line(entry.name)}  (not in the database)"
