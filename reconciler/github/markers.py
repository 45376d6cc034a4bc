"""Hidden markers, by which the reconciler finds its own comments and issues again.

A marker is the last line of a text. The lines before it may quote any text, also another marker.
"""

from collections.abc import Mapping
from typing import Any, Final

MAX_CHARACTERS: Final = 65_536
"""Of a comment, an issue or a pull request."""

_OWN: Final = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})


def is_ours(entry: Mapping[str, Any], marker: str) -> bool:
    """Return whether a comment or issue ends in a marker that begins with `marker`, by a trusted author.

    Any user can write a marker. It counts only if its author is an app or may write to the repository.
    """
    author = entry.get("user") or {}
    is_trusted = author.get("type") == "Bot" or entry.get("author_association") in _OWN
    last_line = (entry.get("body") or "").rstrip().rpartition("\n")[2]
    return is_trusted and last_line.startswith(marker)


def with_marker(body: str, marker: str) -> str:
    """Return a text with its marker as the last line, within GitHub's limit."""
    return f"{body[: MAX_CHARACTERS - len(marker) - 2]}\n\n{marker}"
