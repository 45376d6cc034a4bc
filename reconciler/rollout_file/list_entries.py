"""The grammar of a list's entry: `owner/name`, `owner/*` or a repository's id.

The rules are GitHub's: https://docs.github.com/en/get-started/learning-about-github/types-of-github-accounts
and, for the underscore in names that an enterprise manages,
https://docs.github.com/en/enterprise-cloud@latest/admin/managing-iam/iam-configuration-reference/username-considerations-for-external-authentication
"""

import re
from collections.abc import Iterable

from reconciler.rollout_file.characters import cut, describe_character, quoted
from reconciler.uuid_text import UUID_PATTERN

ENTRY_HINT = "owner/name, owner/* or a repository id"
OWNER_LENGTH = 39
NAME_LENGTH = 100

_OWNER = "[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*(?:_[A-Za-z0-9]+)?"
_NAME = f"[A-Za-z0-9._-]{{1,{NAME_LENGTH}}}"
_NO_NAME = r"[.]{1,2}(?!\n)$|[^/]*[.][gG][iI][tT](?!\n)$"

ENTRY_PATTERN = (
    rf"(?:{UUID_PATTERN}|(?=[^/]{{1,{OWNER_LENGTH}}}/){_OWNER}/(?:[*]|(?!{_NO_NAME}){_NAME}))"
)
"""An entry, for a whole text; written so that it means the same in Python and ECMAScript."""

_entry = re.compile(ENTRY_PATTERN)
_owner = re.compile(_OWNER)
_address = re.compile(r"(?:https?://|ssh://)?(?:git@)?(?:www\.)?github\.com[/:](.+)", re.IGNORECASE)


def entry_key(entry: str) -> str:
    """Return the key by which entries are compared: GitHub's names and ids ignore case."""
    return entry.lower()


def entry_keys(entries: Iterable[str]) -> list[str]:
    """Return the key of each entry, of lists which can have 100,000."""
    return list(map(str.lower, entries))


def are_entries(texts: Iterable[str]) -> bool:
    """Return whether each text is an entry that GitHub would accept."""
    return all(map(_entry.fullmatch, texts))


def is_entry(text: str) -> bool:
    """Return whether a text is an entry that GitHub would accept."""
    return _entry.fullmatch(text) is not None


def is_pattern(entry: str) -> bool:
    """Return whether an entry stands for every repository of one owner."""
    return entry.endswith("/*")


def entry_problem(text: str) -> str | None:
    """Return what is wrong with an entry and what to write instead, or None for a good one."""
    if is_entry(text):
        return None
    shown = quoted(text)
    strange = next((place for place, each in enumerate(text) if not " " <= each <= "~"), None)
    if strange is not None:
        character = describe_character(text[strange])
        return (
            f"{shown} has {character} at character {strange + 1}; "
            "names on GitHub are of ASCII letters, digits and . _ - only"
        )
    if address := _address.fullmatch(text):
        path = re.sub(r"(\.git)?/?$", "", address[1])
        return f"{shown} is an address; write {path if is_entry(path) else ENTRY_HINT}"
    owner, slash, name = text.partition("/")
    if not slash or "/" in name:
        return f"{shown} is not an entry; write {ENTRY_HINT}"
    return f"{shown}: {_owner_problem(owner) or _name_problem(name)}"


def _owner_problem(owner: str) -> str | None:
    if len(owner) > OWNER_LENGTH:
        return f"the owner has {len(owner)} characters, GitHub's have at most {OWNER_LENGTH}"
    if "*" in owner:
        return "the owner can't be a pattern; write owner/name or owner/*"
    if not _owner.fullmatch(owner):
        return "an owner is letters, digits and single hyphens, none at its ends"
    return None


def _name_problem(name: str) -> str:
    if "*" in name:
        return "a pattern is owner/* only; write the whole name, or * alone"
    if name in {"", ".", ".."}:
        return f"a repository can't be called {quoted(name)}; write owner/name or owner/*"
    if len(name) > NAME_LENGTH:
        return f"the name has {len(name)} characters, GitHub's have at most {NAME_LENGTH}"
    if name.lower().endswith(".git"):
        return f"a name can't end in .git; write {cut(name[:-4]) or 'the name'}"
    return "a name is letters, digits and . _ - only"
