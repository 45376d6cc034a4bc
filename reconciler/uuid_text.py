"""A UUID as text, with hyphens: the form of a repository's id and of an override's."""

import re
from collections.abc import Iterable
from typing import Final

UUID_PATTERN: Final = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
"""For a whole text; it has the same meaning in Python, ECMAScript and Postgres."""

_UUID: Final = re.compile(UUID_PATTERN)
_LENGTH: Final = 36


def uuids_among(texts: Iterable[str]) -> set[str]:
    """Return those of many texts that are UUIDs."""
    return {each for each in texts if len(each) == _LENGTH and _UUID.fullmatch(each)}


def is_uuid(text: str) -> bool:
    """Return whether a text is a UUID, in either case."""
    return len(text) == _LENGTH and _UUID.fullmatch(text) is not None
