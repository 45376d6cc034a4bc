"""The filters and globals that the templates of screens use."""

import re
import shlex
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from markupsafe import Markup, escape

from reconciler.escape import spelled_out
from reconciler.planning.drift import describe_change
from reconciler.wording import show_number, show_price, show_time

_LONG: Final = 24
"""A name with more characters may break at its signs, on a narrow page or in a table."""


def first_percentage(bucket: int) -> str:
    """Return the lowest percentage that includes a bucket."""
    return show_number(Decimal(bucket + 1) / 100)


def breakable(name: str) -> str:
    """Return a name that a browser breaks after a sign and not within a word, where it is long."""
    if len(name) <= _LONG:
        return name
    # Markup is shown as it is, so that its characters are spelled out here.
    parts = re.split(r"(?<=[-_./])(?=\w)", spelled_out(name))
    return Markup("<wbr>").join(map(escape, parts))


FILTERS: Final[Mapping[str, Callable[[Any], str]]] = {
    "utc": show_time,
    "number": show_number,
    "shell": shlex.quote,
    "price": show_price,
    "first_percentage": first_percentage,
    "breakable": breakable,
    "drift": describe_change,
}
