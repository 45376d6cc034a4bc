"""Whose texts count: a hidden marker in a stranger's comment is no comment of ours."""

from collections.abc import Mapping
from typing import Any, Final

_OWN: Final = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})


def is_ours(entry: Mapping[str, Any], marker: str) -> bool:
    """Tell whether a comment, issue or pull request has a marker and was written by an app or a member.

    Anybody can write a marker. Only who may write to the repository anyway can write one that counts.
    """
    author = entry.get("user") or {}
    is_trusted = author.get("type") == "Bot" or entry.get("author_association") in _OWN
    return is_trusted and marker in (entry.get("body") or "")


def with_marker(body: str, marker: str) -> str:
    """Return a text with its marker as the last line."""
    return f"{body}\n\n{marker}"
