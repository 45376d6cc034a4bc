"""The types of options and arguments: names, percentages, times, durations, moments."""

import math
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from reconciler.database.time_travel import Moment
    from reconciler.listen_address import ListenAddress
    from rollout_client.route import Job

FILE: Final = click.Path(readable=False)
"""A file's name, which a shell completes; the command that opens it checks that it exists."""

_NOT_TEXT: Final = re.compile("[\ud800-\udfff]")
_PERCENTAGE: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?) ?%?")
_MAX_PERCENTAGE: Final = 100
_INTERVAL: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(ms|s|m|)")
_INTERVAL_SECONDS: Final = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0}
_MIN_INTERVAL_SECONDS: Final = 0.1
_MAX_INTERVAL_SECONDS: Final = 3600.0
_MAX_NAME_LENGTH: Final = 50


def as_text(argument: str) -> str:
    """Return an argument that a database, git and a terminal can store.

    UTF-8 is read in an ASCII locale too. A byte that is not UTF-8 becomes a replacement character, NUL
    becomes a space. So an operator who stops a feature in a hurry is not refused because of a pasted
    character.
    """
    with suppress(UnicodeEncodeError):
        argument = argument.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    return _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", argument).replace("\0", " ")


def require_reason(reason: str) -> None:
    """Refuse an empty reason.

    Raises:
        click.UsageError: it is empty.
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty; give a reason")


class Name(click.Choice[str]):
    """One of some names; a wrong one is answered with the nearest."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__([str(each) for each in names])

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return the nearest name, or all names if none is near."""
        near = get_close_matches(str(value), self.choices, n=1)
        if near:
            return f"{value!r} is unknown; did you mean {near[0]}?"
        return super().get_invalid_choice_message(value, ctx)


class Percentage(click.ParamType[Decimal]):
    """A percentage from 0 to 100 with at most two decimals: 25, 12.5, 25%."""

    name = "percent"

    def convert(
        self, value: str | Decimal, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        """Return the number."""
        written = _PERCENTAGE.fullmatch(str(value))
        if written is None or Decimal(written[1]) > _MAX_PERCENTAGE:
            self.fail(
                f"{value!r} is not a percentage; write a number from 0 to 100, such as 25 or 12.5",
                param,
                ctx,
            )
        return Decimal(written[1])


class Interval(click.ParamType[float]):
    """An interval in seconds, from 100ms to 60m: 5, 5s, 500ms, 1m."""

    name = "interval"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        written = _INTERVAL.fullmatch(str(value))
        seconds = float(written[1]) * _INTERVAL_SECONDS[written[2]] if written else 0.0
        if not _MIN_INTERVAL_SECONDS <= seconds <= _MAX_INTERVAL_SECONDS:
            self.fail(
                f"{value!r} is not an interval from 100ms to 60m; write 5s or 500ms", param, ctx
            )
        return seconds


class Duration(click.ParamType[timedelta]):
    """A duration as the file has it: `90s`, `15m`, `24h`, `7d`."""

    name = "duration"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Return the duration."""
        from reconciler.rollout_file.durations import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Seconds(click.ParamType[float]):
    """A number of seconds from 0."""

    name = "seconds"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; anything else, and infinity, is refused."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not (math.isfinite(seconds) and seconds >= 0):
            self.fail(f"{value!r} is not a time; write seconds from 0, such as 1.5", param, ctx)
        return seconds


class ShortName(click.ParamType[str]):
    """A name of up to 50 characters that jobs are reported with: a processor, a kind of job."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        if not 1 <= len(value) <= _MAX_NAME_LENGTH or not value.isprintable():
            self.fail(
                f"{value!r} is not a {self.name}; write 1 to {_MAX_NAME_LENGTH} characters",
                param,
                ctx,
            )
        return value


class Since(click.ParamType[datetime]):
    """A time, as `2026-11-23`, `2026-11-23T12:00Z`, or how long ago, as `24h`."""

    name = "time"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the time; a time without a zone is UTC."""
        from reconciler.planning.times import parse_time

        try:
            return parse_time(value, datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class JobType(click.ParamType["Job"]):
    """A kind of job, and after a colon its size, such as `pull_requests:120`."""

    name = "job"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Job":
        """Return the job, without its feature."""
        from rollout_client.route import Job

        if not isinstance(value, str):
            return value
        kind, _, size = value.partition(":")
        if not re.fullmatch("[0-9]{0,18}", size) or not kind.isprintable():
            self.fail(
                f"{value!r:.60} is not KIND or KIND:SIZE, such as pull_requests:120", param, ctx
            )
        return Job("", kind, int(size or 0))


class MomentType(click.ParamType["Moment"]):
    """A generation by its number, a commit by seven characters or more, or a time as `Since` reads it."""

    name = "moment"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Moment":
        """Return the moment; digits alone may be a generation or a commit."""
        from reconciler.database.time_travel import parse_moment

        try:
            return parse_moment(value, datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Listen(click.ParamType["ListenAddress"]):
    """An address to serve on, as HOST:PORT."""

    name = "address"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> "ListenAddress":
        """Return the address."""
        from reconciler.listen_address import ListenAddress

        try:
            return ListenAddress.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
