"""Durations as the file writes them (`90s`, `15m`, `24h`, `7d`), to and from `timedelta`.

A duration is one whole number and one unit, from a second to 365 days. The text reads back as the same time.
"""

import re
from datetime import timedelta
from decimal import Decimal

from reconciler.rollout_file.characters import quoted
from reconciler.wording import show_number

SHORTEST_DURATION = timedelta(seconds=1)
LONGEST_DURATION = timedelta(days=365)
DURATION_HINT = "a whole number and a unit: 90s, 15m, 24h or 7d"
DURATION_PATTERN = "[1-9][0-9]{0,7}[smhd]"

_DURATION = re.compile(DURATION_PATTERN)
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def parse_duration(text: str) -> timedelta:
    """Return the duration of a text such as `24h`.

    Raises:
        ValueError: it is not a duration from a second to 365 days; the message has a correct example.
    """
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a duration; write {DURATION_HINT}")
    duration = timedelta(seconds=int(text[:-1]) * _SECONDS[text[-1]])
    if duration > LONGEST_DURATION:
        raise ValueError(f"{text} is more than 365d")
    return duration


def format_duration(duration: timedelta) -> str:
    """Return a duration in the largest unit that gives a whole number: `90s`, `1d`.

    A database can hold durations that a file cannot, such as `0s` and `1.5s`.
    """
    microseconds = duration // timedelta(microseconds=1)
    seconds, rest = divmod(microseconds, 1_000_000)
    if rest:
        return f"{show_number(Decimal(microseconds) / 1_000_000)}s"
    unit = next(unit for unit, size in _SECONDS.items() if seconds % size == 0) if seconds else "s"
    return f"{seconds // _SECONDS[unit]}{unit}"
