"""Edits of the file's lists: whitelist, exclusions, test repositories."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Final

from reconciler.operations.edit import Edit
from reconciler.rollout_file.editing import with_entries, without_entries
from reconciler.rollout_file.list_entries import entry_key, is_pattern
from reconciler.wording import counted

if TYPE_CHECKING:
    from reconciler.rollout_file.editing import Keys
    from reconciler.rollout_file.model import Rollout

MAX_GUESSED_NAMES: Final = 10
"""For this number of names that a list lacks, the nearest entry is looked up."""
MAX_COMPARED_ENTRIES: Final = 2_000
"""A mistyped name is compared with this number of entries; each takes 30 microseconds."""


class FileList(Enum):
    """A list of the file: its key there, and its name in a sentence."""

    WHITELIST = ("whitelist", "whitelist")
    EXCLUSIONS = ("exclusions", "exclusions")
    TEST_REPOSITORIES = ("test_repositories", "test repositories")

    @classmethod
    def of_key(cls, key: str) -> "FileList":
        """Return the list that has this key in the file."""
        return next(each for each in cls if each.key == key)

    @property
    def key(self) -> str:
        """Its key in the file."""
        return self.value[0]

    @property
    def words(self) -> str:
        """Its name in a sentence."""
        return self.value[1]

    @property
    def is_of_a_feature(self) -> bool:
        """Whether each feature has its own list."""
        return self is not FileList.TEST_REPOSITORIES


@dataclass(frozen=True, slots=True)
class FoundList:
    """A list in a file."""

    feature: str | None
    path: "Keys"
    words: str
    is_plural: bool
    entries: Sequence[str]

    @classmethod
    def of(cls, edited: FileList, rollout: "Rollout", feature: str | None) -> "FoundList":
        """Return a list of a feature, or of all features if `feature` is None."""
        is_plural = edited is not FileList.WHITELIST
        if feature is None:
            entries = rollout.test_repositories
            return cls(None, (edited.key,), f"the {edited.words}", is_plural, entries)
        entries = getattr(rollout.features[feature], edited.key)
        words = f"the {edited.words} of {feature}"
        return cls(feature, ("features", feature, edited.key), words, is_plural, entries)

    def add(self, content: bytes, names: Sequence[str]) -> Edit:
        """Return the edit that adds entries; those that the list already has become remarks."""
        there = {entry_key(each) for each in self.entries}
        new = [each for each in names if entry_key(each) not in there]
        remarks = (
            f"{self.words} already {self._have} {each}"
            for each in names
            if entry_key(each) in there
        )
        edited = with_entries(content, self.path, new)
        message = self._message("Add", names, "to")
        narrows = self._is(FileList.EXCLUSIONS)
        return Edit(self.feature, edited, message, tuple(remarks), narrows=narrows)

    def remove(self, content: bytes, names: Sequence[str]) -> Edit:
        """Return the edit that removes entries; those that the list lacks become remarks."""
        keys = {entry_key(each): each for each in self.entries}
        edited = without_entries(content, self.path, names)
        gone = {entry_key(each) for each in names}
        absent = [each for each in names if entry_key(each) not in keys]
        remarks = [self._absent(each, keys) for each in absent[:MAX_GUESSED_NAMES]]
        remarks += [self._absent(each, {}) for each in absent[MAX_GUESSED_NAMES:]]
        left = {key: each for key, each in keys.items() if key not in gone and is_pattern(key)}
        remarks += [
            f"{self.words} still {self._have} {left[pattern]}, which includes {each}"
            for each in names
            if (pattern := f"{entry_key(each).partition('/')[0]}/*") in left
        ]
        message = self._message("Remove", names, "from")
        narrows = self._is(FileList.WHITELIST)
        return Edit(self.feature, edited, message, tuple(remarks), narrows=narrows)

    def _is(self, edited: FileList) -> bool:
        return self.path[-1] == edited.key

    @property
    def _have(self) -> str:
        return "have" if self.is_plural else "has"

    def _message(self, verb: str, names: Sequence[str], preposition: str) -> str:
        if len(names) == 1:
            return f"{verb} {names[0]} {preposition} {self.words}"
        listed = "\n".join(f"- {each}" for each in names)
        return f"{verb} {counted(len(names), 'entry')} {preposition} {self.words}\n\n{listed}"

    def _absent(self, name: str, keys: dict[str, str]) -> str:
        near = get_close_matches(entry_key(name), _candidates(entry_key(name), keys), n=1)
        hint = f"; did you mean {keys[near[0]]}?" if near else ""
        lack = "do not have" if self.is_plural else "does not have"
        return f"{self.words} {lack} {name}{hint}"


def _candidates(name: str, keys: Collection[str]) -> Collection[str]:
    """Return the entries to compare with a mistyped name; of a long list, those with its owner or name."""
    if len(keys) <= MAX_COMPARED_ENTRIES:
        return keys
    owner, _, own = name.partition("/")
    alike = (each for each in keys if each.startswith(f"{owner}/") or each.endswith(f"/{own}"))
    return list(islice(alike, MAX_COMPARED_ENTRIES))
