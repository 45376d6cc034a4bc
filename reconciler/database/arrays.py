"""Long lists as the text of an array: the driver quotes each value, which takes longer.

The planner of Postgres knows the length of an array, and guesses that of a JSON text.
"""

from collections.abc import Iterable


def plain_array(values: Iterable[str]) -> str:
    """Return ids or numbers as the text of an array."""
    return f"{{{','.join(values)}}}"


def text_array(values: Iterable[str]) -> str:
    """Return any texts as the text of an array; Postgres has no text with the character NUL."""
    listed = list(values)
    joined = "\0".join(listed).replace("\\", "\\\\").replace('"', '\\"')
    quoted = joined.replace("\0", '","')
    return f'{{"{quoted}"}}' if listed else "{}"
