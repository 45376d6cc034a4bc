"""Names that an option takes; what is none of them is told with the nearest."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import click


class Name(click.Choice[str]):
    """One of some names."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__([str(each) for each in names])

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return the nearest name, or where none is near all there are."""
        near = get_close_matches(str(value), self.choices, n=1)
        if near:
            return f"{value!r} is unknown; did you mean {near[0]}?"
        return super().get_invalid_choice_message(value, ctx)
