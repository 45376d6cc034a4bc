"""Whose texts count: a hidden marker in a stranger's comment is no comment of ours.

A marker is the last line of a text; what stands in the lines before may quote anything.
"""

from collections.abc import Mapping
from typing import Any, Final

_OWN: Final = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})


def is_ours(entry: Mapping[str, Any], marker: str) -> bool:
    """Tell whether a comment or issue has a marker, or one that begins so, of an app or a member.

    Anybody can write a marker. Only who may write to the repository anyway can write one that counts.
    """
    author = entry.get("user") or {}
    is_trusted = author.get("type") == "Bot" or entry.get("author_association") in _OWN
    last_line = (entry.get("body") or "").rstrip().rpartition("\n")[2]
    return is_trusted and last_line.startswith(marker)


def with_marker(body: str, marker: str) -> str:
    """Return a text with its marker as the last line."""
    return f"{body}\n\n{marker}"
