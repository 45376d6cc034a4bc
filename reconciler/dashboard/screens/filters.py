"""The filters and globals that the templates of screens use."""

import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final

from reconciler.wording import show_number, show_price, show_time

FILTERS: Final[Mapping[str, Callable[[Any], str]]] = {
    "utc": show_time,
    "number": show_number,
    "shell": shlex.quote,
    "price": show_price,
}
