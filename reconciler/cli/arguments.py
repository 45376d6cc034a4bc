"""Arguments as text that a database, git and a terminal can hold."""

import re
from typing import Final

import click

FILE: Final = click.Path(readable=False)
"""A file's name, which a shell completes; whether it is there is for who opens it."""

_UNHOLDABLE: Final = re.compile("[\ud800-\udfff]")


def as_text(argument: str) -> str:
    """Return an argument with bytes that are no UTF-8 replaced, and NUL by a space.

    Whoever stops a feature in a hurry is not held up by what their terminal pasted.
    """
    return _UNHOLDABLE.sub("\N{REPLACEMENT CHARACTER}", argument).replace("\0", " ")


def require_words(reason: str) -> None:
    """Refuse a reason that says nothing.

    Raises:
        click.UsageError: it is empty.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty; say why")
