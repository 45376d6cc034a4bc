"""Times as people write them: `2026-11-23`, `2026-11-23T12:00Z`, or how long ago, as `24h`."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from reconciler.rollout_file.characters import quoted
from reconciler.rollout_file.durations import parse_duration

_AGO: Final = re.compile(r"[1-9][0-9]*[smhd]")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def parse_time(text: str, now: datetime) -> datetime:
    """Return the time in a text; a time without a zone is UTC.

    Raises:
        ValueError: it is not a time; the message has a correct example.
    """
    try:
        if _AGO.fullmatch(text):
            return now - parse_duration(text)
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{quoted(text)} is not a time; write 2026-11-23T12:00Z or 24h") from None


def parse_end(text: str, now: datetime) -> datetime:
    """Return the time before which something was, as `parse_time` does; a date includes its whole day.

    Raises:
        ValueError: it is not a time; the message has a correct example.
    """
    moment = parse_time(text, now)
    try:
        return moment + timedelta(days=1) if _DATE.fullmatch(text) else moment
    except OverflowError:
        return moment
