"""Times of a wall clock in a named zone, and the moments at which they are.

Two rules decide the odd days. A time that the clock skips is the first moment after the gap. A time that the
clock shows twice is its first or its second moment, as the caller asks.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from reconciler.rollout_file.characters import quoted

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

UTC_ZONE: Final = "UTC"
ZONE_HINT: Final = "the name of a zone, such as Europe/Berlin or UTC"
ZONE_PATTERN: Final = "[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*"
MAX_ZONE_LENGTH: Final = 100
FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2199
DATE_PATTERN: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
CLOCK_PATTERN: Final = "[0-9]{2}:[0-9]{2}"


@cache
def read_zone(name: str) -> "ZoneInfo":
    """Return the zone of a name of the IANA database.

    Names that depend on the machine, such as `localtime`, are no zones here.

    Raises:
        ValueError: there is no such zone; the message has a correct example.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    unknown = f"{quoted(name)} is not a time zone; write {ZONE_HINT}"
    if not re.fullmatch(ZONE_PATTERN, name) or name not in _names():
        raise ValueError(unknown)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(unknown) from error


@cache
def _names() -> frozenset[str]:
    """Return the zones of the package `tzdata`: the same on every machine."""
    from importlib.resources import files

    listed = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return frozenset(listed) - {"Factory", "localtime"}


def parse_wall_time(text: str) -> datetime:
    """Return the time of a text such as `2026-12-18 16:00`, without a zone.

    Raises:
        ValueError: the text is not such a time, or on no calendar; the message has a correct example.
    """
    if not re.fullmatch(f"{DATE_PATTERN}[ T]{CLOCK_PATTERN}", text):
        raise ValueError(f"{quoted(text)} is not a time; write a day and a time, 2026-12-18 16:00")
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text} is on no calendar or clock; write 2026-12-18 16:00") from error
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ValueError(f"{text} is not between the years {FIRST_YEAR} and {LAST_YEAR}")
    return found


def format_wall_time(value: datetime) -> str:
    """Return a time as `parse_wall_time` reads it."""
    return f"{value:%Y-%m-%d %H:%M}"


def moment_of(wall_time: datetime, zone: "ZoneInfo", *, second: bool) -> datetime:
    """Return the moment, in UTC, at which the clock of a zone shows a time.

    Args:
        wall_time: a time without a zone.
        zone: the zone of the clock.
        second: of a time that the clock shows twice, whether the second one is meant.
    """
    found = wall_time.replace(tzinfo=zone, fold=int(second)).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wall_time:
        return found
    return _end_of_gap(wall_time, zone)


def _end_of_gap(wall_time: datetime, zone: "ZoneInfo") -> datetime:
    """Return the first moment at which the clock shows a later time than one that it skips."""
    moments = (wall_time.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    before, after = sorted(moments)
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).replace(tzinfo=None) > wall_time:
            after = middle
        else:
            before = middle
    return after
