"""The text of numbers, counts, times, limits and commits, the same in every message and page."""

import shlex
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import quote


def show_number(value: Decimal | int) -> str:
    """Return a number without insignificant zeros: 25, 12.5, 0."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def count(number: int) -> str:
    """Return a number with separated thousands: 1,204."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Return a number of things: 1 change, 2 changes, 3 repositories."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count(number)} {noun if number == 1 else plural}"


def gains(gained: int, lost: int) -> str:
    """Return the number of repositories that gain and lose, without a part that is zero: +120 −3."""
    parts = ((gained, f"+{count(gained)}"), (lost, f"−{count(lost)}"))
    return " ".join(part for number, part in parts if number)


def show_time(moment: datetime) -> str:
    """Return a time in UTC, cut to its second: 2026-11-23T12:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def exact_time(moment: datetime) -> str:
    """Return a time in UTC with all of its fraction: 2026-11-23T12:00:00.250000Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def when_counted(moment: datetime | None, *, is_before_change: bool) -> str:
    """Return the time of a kept count as the end of a sentence; "" if it was counted now."""
    if moment is None:
        return ""
    before = ", before the last change" if is_before_change else ""
    return f", counted at {show_time(moment)}{before}; --exact counts now"


def short_limit(percentage: Decimal | None) -> str:
    """Return a limit in a word or two: `stop` (None), `at most 25`."""
    return "stop" if percentage is None else f"at most {show_number(percentage)}"


def describe_limit(percentage: Decimal | None) -> str:
    """Return a limit: `the stop` (None), `the limit of 25`."""
    return "the stop" if percentage is None else f"the limit of {show_number(percentage)}"


def short_commit(commit: str) -> str:
    """Return the first seven characters of a commit's name."""
    return commit[:7]


def feature_link(dashboard_url: str, feature: str) -> str:
    """Return the address of a feature's page on the dashboard; SQL can give a feature any name."""
    return f"{dashboard_url.rstrip('/')}/features/{quote(feature, safe='')}"


def feature_option(feature: str) -> str:
    """Return the option that names a feature, for a command that people copy into a shell.

    SQL can give a feature any name.
    """
    return f"--feature {shlex.quote(feature)}"


def describe_permission(commit: str) -> str:
    """Return which commit allows a guard, and which merges keep its line."""
    return (
        f"Rollout-Allow in {short_commit(commit)}; a merge or a rebase keeps it, "
        "a squash only if its message has that line"
    )


def show_price(price: float | None) -> str:
    """Return a price with four decimals; `-` if it is unknown."""
    return "-" if price is None else f"{price:,.4f}"
