"""The sparkline of a feature: its jobs in each hour of the last day, and which of them failed."""

from collections.abc import Sequence

from reconciler.dashboard.charts.svg import Chart, number, path, svg
from reconciler.planning.job_series import HourOfJobs
from reconciler.wording import count, counted

_WIDE, _HIGH = 120.0, 28.0


def sparkline(hours: Sequence[HourOfJobs]) -> Chart:
    """Return bars of jobs with the failed ones filled; a cell of a table has it, and its sentence says all.

    The height of a bar is its share of the busiest hour. An hour with a failed job has at least one unit of
    filled bar, and a mark above it, so that one failure of a million is seen.
    """
    if not any(hour.jobs for hour in hours):
        return Chart(svg("no job in the last day", (_WIDE, _HIGH), [_floor()], "sparkline"))
    step = _WIDE / len(hours)
    largest = max(hour.jobs for hour in hours)
    jobs, errors, marks = [], [], []
    for place, hour in enumerate(hours):
        if not hour.jobs:
            continue
        left = place * step
        jobs.append(_bar(left, step, max(1.0, (_HIGH - 4) * hour.jobs / largest)))
        if hour.errors:
            errors.append(_bar(left, step, max(1.0, (_HIGH - 4) * hour.errors / largest)))
            marks.append(f"M{number(left + step / 2 - 1)} 0h2v2h-2z")
    body = [_floor(), path(jobs, "new")]
    if errors:
        body += [path(errors, "failed"), path(marks, "failed")]
    return Chart(svg(_sentence(hours), (_WIDE, _HIGH), body, "sparkline"))


def _bar(left: float, step: float, high: float) -> str:
    return f"M{number(left)} {number(_HIGH - 1)}v-{number(high)}h{number(step - 1)}v{number(high)}z"


def _floor() -> str:
    return path([f"M0 {number(_HIGH - 0.5)}H{number(_WIDE)}"], "axis")


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
