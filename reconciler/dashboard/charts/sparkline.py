"""The sparkline of a feature: its jobs in each hour of the last day, and the share that failed."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from reconciler.dashboard.charts.svg import Chart, path, svg
from reconciler.planning.job_series import HourOfJobs
from reconciler.wording import count, counted

_STEP: Final = 5
"""The width of an hour; whole numbers, because a page has many sparklines."""
_MOST_HOURS: Final = 24
_AXIS: Final = 21
_MOST_JOBS: Final = 20
_MOST_FAILED: Final = 7
_SIZE: Final = (float(_STEP * _MOST_HOURS), 29.0)


def sparkline(hours: Sequence[HourOfJobs]) -> Chart:
    """Return the jobs above a line and the failed ones below it; a cell of a table has it.

    The height above is the share of the busiest hour. The depth below is the share of failed jobs, at
    least one unit, so that one failure of a million is seen.
    """
    floor = path([f"M0 {_AXIS}H{_STEP * _MOST_HOURS}"], "axis")
    if not any(hour.jobs for hour in hours):
        return Chart(svg("no job in the last day", _SIZE, [floor], "sparkline"))
    largest = max(hour.jobs for hour in hours)
    jobs = [_height(hour.jobs / largest, _MOST_JOBS) for hour in hours]
    failed = [_height(hour.errors / hour.jobs if hour.jobs else 0, _MOST_FAILED) for hour in hours]
    body = [floor, path([_area(jobs, -1)], "new")]
    if any(failed):
        body.append(path([_area(failed, 1)], "failed"))
    return Chart(svg(_sentence(hours), _SIZE, body, "sparkline"))


def _height(share: float, most: int) -> int:
    return max(1, round(min(share, 1) * most)) if share > 0 else 0


def _area(heights: Sequence[int], direction: int) -> str:
    """Return an area of steps from the axis; equal hours are one step."""
    commands, last = [f"M0 {_AXIS}"], 0
    for height, hours in groupby(heights):
        if height != last:
            commands.append(f"v{direction * (height - last)}")
        commands.append(f"h{_STEP * len(list(hours))}")
        last = height
    return "".join([*commands, f"V{_AXIS}z"])


def _sentence(hours: Sequence[HourOfJobs]) -> str:
    jobs, errors = sum(hour.jobs for hour in hours), sum(hour.errors for hour in hours)
    sentence = f"{counted(jobs, 'job')} in the last day, {count(errors)} failed"
    if not errors:
        return sentence
    worst = max(hours, key=lambda hour: (hour.errors, hour.begins_at))
    at = worst.begins_at.strftime("%H:%M")
    return (
        f"{sentence}; most in the hour from {at} UTC: {count(worst.errors)} of {count(worst.jobs)}"
    )
