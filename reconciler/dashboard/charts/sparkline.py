"""The sparkline of a feature: its jobs in every two hours of the last day, and the share that failed."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from reconciler.dashboard.charts.svg import Chart, path, small_svg
from reconciler.planning.job_series import HourOfJobs
from reconciler.wording import count, counted

_HOURS: Final = 2
"""The hours of a step: a page has many sparklines, and each is as wide as a thumb."""
_STEP: Final = 9
"""The width of a step, a number of one digit."""
_AXIS: Final = 21
_MOST_JOBS: Final = 20
_MOST_FAILED: Final = 7


def sparkline(hours: Sequence[HourOfJobs]) -> Chart:
    """Return the jobs above a line and the failed ones below it; a cell of a table has it.

    The style sheet draws the line, which every sparkline has at the same height.

    The height above is the share of the busiest step. The depth below is the share of failed jobs, at
    least one unit, so that one failure of a million is seen.
    """
    if not any(hour.jobs for hour in hours):
        return Chart(small_svg("no job in the last day", [], "sparkline"))
    steps = [hours[place : place + _HOURS] for place in range(0, len(hours), _HOURS)]
    ran = [sum(hour.jobs for hour in step) for step in steps]
    errors = [sum(hour.errors for hour in step) for step in steps]
    jobs = [_height(each / max(ran), _MOST_JOBS) for each in ran]
    failed = [
        _height(part / whole if whole else 0, _MOST_FAILED)
        for part, whole in zip(errors, ran, strict=True)
    ]
    body = [path([_area(jobs, -1)], "new")]
    if any(failed):
        body.append(path([_area(failed, 1)], "failed"))
    return Chart(small_svg(_sentence(hours), body, "sparkline"))


def _height(share: float, most: int) -> int:
    return max(1, round(min(share, 1) * most)) if share > 0 else 0


def _area(heights: Sequence[int], direction: int) -> str:
    """Return an area of steps from the axis; equal heights are one step."""
    commands, last = [f"M0 {_AXIS}"], 0
    for height, steps in groupby(heights):
        if height != last:
            commands.append(f"v{direction * (height - last)}")
        commands.append(f"h{_STEP * len(list(steps))}")
        last = height
    return "".join([*commands, f"V{_AXIS}z"])


def _sentence(hours: Sequence[HourOfJobs]) -> str:
    jobs, errors = sum(hour.jobs for hour in hours), sum(hour.errors for hour in hours)
    sentence = f"{counted(jobs, 'job')}, {count(errors)} failed"
    if not errors:
        return sentence
    worst = max(hours, key=lambda hour: (hour.errors, hour.begins_at))
    at = worst.begins_at.strftime("%H:%M")
    return (
        f"{sentence}, most in the hour from {at} UTC: {count(worst.errors)} of {count(worst.jobs)}"
    )
