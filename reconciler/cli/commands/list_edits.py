"""`reconcile whitelist|exclude|test-repos add` and `remove`: entries of the file's lists."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.file_edit import Edit, edit_file, editing_options, feature_in_file, read_rollout
from reconciler.cli.options import Settings, settings_of
from reconciler.errors import ReconcilerError
from reconciler.rollout_file.list_entries import entry_key, is_pattern
from reconciler.wording import counted

if TYPE_CHECKING:
    from reconciler.rollout_file.editing import Keys
    from reconciler.rollout_file.model import Rollout

MAX_GUESSED_NAMES: Final = 10
"""For so many names that are not there the nearest one is looked for."""
MAX_COMPARED_ENTRIES: Final = 2_000
"""So many entries a mistyped name is compared with, each of which takes 30 microseconds."""


@dataclass(frozen=True, slots=True)
class FileList:
    """One list of the file."""

    key: str
    """What the file calls it."""
    words: str
    """What people call it."""
    is_of_a_feature: bool = True
    is_plural: bool = True

    def find(self, settings: Settings, rollout: "Rollout") -> "FoundList":
        """Return the list that a command means, as it is in the file."""
        if not self.is_of_a_feature:
            return FoundList(
                None, (self.key,), f"the {self.words}", self.is_plural, rollout.test_repositories
            )
        feature = feature_in_file(settings, rollout)
        entries = getattr(rollout.features[feature], self.key)
        words = f"the {self.words} of {feature}"
        return FoundList(feature, ("features", feature, self.key), words, self.is_plural, entries)


@dataclass(frozen=True, slots=True)
class FoundList:
    """One list as it is in the file."""

    feature: str | None
    path: "Keys"
    words: str
    is_plural: bool
    entries: Sequence[str]

    def add(self, content: bytes, names: Sequence[str]) -> Edit:
        """Return the file with entries added; those that are there are told."""
        from reconciler.rollout_file.editing import with_entries

        there = {entry_key(each) for each in self.entries}
        new = [each for each in names if entry_key(each) not in there]
        remarks = (f"{self._have} {each} already" for each in names if entry_key(each) in there)
        edited = with_entries(content, self.path, new)
        return Edit(self.feature, edited, self._message("Add", names, "to"), tuple(remarks))

    def remove(self, content: bytes, names: Sequence[str]) -> Edit:
        """Return the file with entries removed; those that are not there are told."""
        from reconciler.rollout_file.editing import without_entries

        keys = {entry_key(each): each for each in self.entries}
        edited = without_entries(content, self.path, names)
        gone = {entry_key(each) for each in names}
        absent = [each for each in names if entry_key(each) not in keys]
        remarks = [self._absent(each, keys) for each in absent[:MAX_GUESSED_NAMES]]
        remarks += [self._absent(each, {}) for each in absent[MAX_GUESSED_NAMES:]]
        left = {key: each for key, each in keys.items() if key not in gone and is_pattern(key)}
        remarks += [
            f"{self._have} {left[pattern]} still, which stands for {each} too"
            for each in names
            if (pattern := f"{entry_key(each).partition('/')[0]}/*") in left
        ]
        return Edit(self.feature, edited, self._message("Remove", names, "from"), tuple(remarks))

    @property
    def _have(self) -> str:
        return f"{self.words} {'have' if self.is_plural else 'has'}"

    def _message(self, verb: str, names: Sequence[str], preposition: str) -> str:
        if len(names) == 1:
            return f"{verb} {names[0]} {preposition} {self.words}"
        listed = "\n".join(f"- {each}" for each in names)
        return f"{verb} {counted(len(names), 'entry')} {preposition} {self.words}\n\n{listed}"

    def _absent(self, name: str, keys: dict[str, str]) -> str:
        near = get_close_matches(entry_key(name), _candidates(entry_key(name), keys), n=1)
        hint = f"; did you mean {keys[near[0]]}?" if near else ""
        lacks = "do not have" if self.is_plural else "does not have"
        return f"{self.words} {lacks} {name}{hint}"


def _candidates(name: str, keys: Collection[str]) -> Collection[str]:
    """Return what a mistyped name may have meant; of a long list, what has its owner or its name."""
    if len(keys) <= MAX_COMPARED_ENTRIES:
        return keys
    owner, _, own = name.partition("/")
    alike = (each for each in keys if each.startswith(f"{owner}/") or each.endswith(f"/{own}"))
    return list(islice(alike, MAX_COMPARED_ENTRIES))


def add_editing(group: click.Group, edited: FileList) -> None:
    """Give a list's group of commands `add` and `remove`."""
    command = group.name
    examples = {
        "add": f"Example: reconcile {command} add microsoft/vscode --owner my-company",
        "remove": f'Example: reconcile {command} remove acme/tools --commit --reason "It is done"',
    }

    def names_in_file(
        context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[str]:
        return [
            each for each in _entries(settings_of(context), edited) if each.startswith(incomplete)
        ]

    @group.command(epilog=examples["add"], help=f"Add to the {edited.words} in the file.")
    @click.argument("names", metavar="[NAME]...", nargs=-1)
    @click.option("--owner", "owners", multiple=True, metavar="NAME", help=_OWNER_HELP)
    @editing_options
    @click.pass_context
    def add(
        context: click.Context, /, *, names: Sequence[str], owners: Sequence[str], **options: Any
    ) -> dict[str, Any]:
        wanted = _wanted(names, owners)

        def edit(settings: Settings, content: bytes) -> Edit:
            return edited.find(settings, read_rollout(content)).add(content, wanted)

        return edit_file(context, edit, options)

    @group.command(epilog=examples["remove"], help=f"Remove from the {edited.words} in the file.")
    @click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=names_in_file)
    @click.option("--owner", "owners", multiple=True, metavar="NAME", help=_OWNER_HELP)
    @editing_options
    @click.pass_context
    def remove(
        context: click.Context, /, *, names: Sequence[str], owners: Sequence[str], **options: Any
    ) -> dict[str, Any]:
        wanted = _wanted(names, owners)

        def edit(settings: Settings, content: bytes) -> Edit:
            return edited.find(settings, read_rollout(content)).remove(content, wanted)

        return edit_file(context, edit, options)


_OWNER_HELP = "All of this owner's repositories: the entry NAME/*."


def _wanted(names: Sequence[str], owners: Sequence[str]) -> list[str]:
    wanted = [*names, *(f"{owner}/*" for owner in owners)]
    if not wanted:
        raise click.UsageError("name a repository, as owner/name or id, or an owner with --owner")
    return list({entry_key(each): each for each in wanted}.values())


def _entries(settings: Settings, edited: FileList) -> Iterable[str]:
    from reconciler.rollout_file import read_rollout_file

    try:
        rollout = read_rollout_file(settings.path).rollout
        return edited.find(settings, rollout).entries
    except (ReconcilerError, click.ClickException):
        return ()
