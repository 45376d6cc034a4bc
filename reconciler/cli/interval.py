"""Intervals on the command line, as people write them."""

import re

import click

_WRITTEN = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(ms|s|m|)")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0}
_SHORTEST = 0.1
_LONGEST = 3600.0


class Interval(click.ParamType[float]):
    """An interval in seconds, from 100ms to 60m: 5, 5s, 500ms, 1m."""

    name = "interval"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        written = _WRITTEN.fullmatch(str(value))
        seconds = float(written[1]) * _SECONDS[written[2]] if written else 0.0
        if not _SHORTEST <= seconds <= _LONGEST:
            self.fail(f"{value!r} is no interval from 100ms to 60m; write 5s or 500ms", param, ctx)
        return seconds
