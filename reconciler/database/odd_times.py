"""Days, times and durations that Postgres can store but Python cannot: the nearest possible ones are read.

One row can have `infinity`, the year 200000 or a window of ten thousand years; other rows must
still be read. Health reports a feature with such a row. The limits leave room to add or subtract a
window.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap
from psycopg.types.datetime import DateLoader, IntervalLoader, TimestamptzLoader

EARLIEST: Final = datetime(2, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9998, 12, 31, tzinfo=UTC)
LONGEST: Final = timedelta(days=36_525)
"""A hundred years."""


class _NearestTime(TimestamptzLoader):
    def load(self, data: Buffer) -> datetime:
        try:
            return min(max(super().load(data), EARLIEST), LATEST)
        except (psycopg.DataError, OverflowError):
            return EARLIEST if _is_early(data) else LATEST


class _NearestDay(DateLoader):
    def load(self, data: Buffer) -> date:
        try:
            return min(max(super().load(data), EARLIEST.date()), LATEST.date())
        except (psycopg.DataError, OverflowError):
            return (EARLIEST if _is_early(data) else LATEST).date()


class _NearestDuration(IntervalLoader):
    def load(self, data: Buffer) -> timedelta:
        try:
            return min(max(super().load(data), -LONGEST), LONGEST)
        except (psycopg.DataError, OverflowError):
            return -LONGEST if bytes(data).startswith(b"-") else LONGEST


def _is_early(data: Buffer) -> bool:
    text = bytes(data)
    return text.startswith(b"-") or text.endswith(b"BC")


def forgiving_adapters() -> AdaptersMap:
    """Return the driver's adapters, with loaders that accept every day, time and duration."""
    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_loader("date", _NearestDay)
    adapters.register_loader("timestamptz", _NearestTime)
    adapters.register_loader("interval", _NearestDuration)
    return adapters
