"""Evidence over time, on a scale of powers of ten, with the line that warns and the line that rolls back."""

import math
from collections.abc import Iterator
from typing import Final

from reconciler.dashboard.charts.svg import (
    WIDTH,
    Chart,
    TimeAxis,
    figure,
    label,
    number,
    path,
    svg,
    table,
    tag,
    time_element,
)
from reconciler.planning.evidence_series import EvidencePoint, EvidenceSeries
from reconciler.planning.health import shown_evidence
from reconciler.wording import count, show_time

_LEFT: Final = 52.0
_RIGHT: Final = WIDTH - 8.0
_TOP, _BOTTOM = 14.0, 170.0
_HIGH: Final = 206.0
_MOST_POWERS: Final = 6
_LARGEST_WRITTEN: Final = 4
"""The largest power of ten whose number is written out."""
_LOWEST: Final = -2
"""The decimal logarithm at the bottom: less evidence than 0.01 is drawn there."""


def evidence_chart(series: EvidenceSeries) -> Chart:
    """Return the evidence since the leading start, with its two lines."""
    last = series.points[-1]
    axis = TimeAxis(series.since, last.at, _LEFT, _RIGHT)
    largest = max(each.value for each in series.points)
    highest = math.ceil(_log(max(largest, series.fail_line)) + 0.2)
    body = [
        axis.draw(_TOP, _BOTTOM),
        *_scale(highest),
        *_limit(series.warn_line, highest, "warn", "warns"),
        *_limit(series.fail_line, highest, "act", "rolls back"),
        path(_line(series, axis, highest), "new line"),
        tag(
            "circle",
            {"class": "point", "cx": axis.x(last.at), "cy": _y(last.value, highest), "r": 3.5},
        ),
    ]
    drawing = svg(_describe(series, last), (WIDTH, _HIGH), body, "evidence")
    rows = (
        (
            time_element(each.at),
            shown_evidence(each.value),
            count(each.jobs),
            count(each.errors),
        )
        for each in reversed(series.points)
    )
    numbers = table(("at", "evidence", "jobs since the start", "failed"), rows)
    return figure("Evidence", drawing, numbers, tag("p", {"class": "legend"}, _legend(series)))


def _scale(highest: int) -> Iterator[str]:
    step = math.ceil((highest - _LOWEST) / _MOST_POWERS)
    for power in range(_LOWEST, highest + 1, step):
        y = _y(10.0**power, highest)
        yield tag("line", {"class": "grid", "x1": _LEFT, "x2": _RIGHT, "y1": y, "y2": y})
        shown = f"{10.0**power:,g}" if power <= _LARGEST_WRITTEN else f"10^{power}"
        yield label(_LEFT - 6, y + 4, shown, "tick", "end")


def _limit(value: float, highest: int, kind: str, words: str) -> Iterator[str]:
    y = _y(value, highest)
    yield tag("line", {"class": f"limit {kind}", "x1": _LEFT, "x2": _RIGHT, "y1": y, "y2": y})
    yield label(_LEFT + 6, y - 4, f"{words} at {count(math.ceil(value))}", f"label {kind}")


def _line(series: EvidenceSeries, axis: TimeAxis, highest: int) -> Iterator[str]:
    for place, point in enumerate(series.points):
        command = "L" if place else "M"
        yield f"{command}{number(axis.x(point.at))} {number(_y(point.value, highest))}"


def _y(value: float, highest: int) -> float:
    share = (_log(value) - _LOWEST) / (highest - _LOWEST)
    return _BOTTOM - min(max(share, 0.0), 1.0) * (_BOTTOM - _TOP)


def _log(value: float) -> float:
    return math.log10(value) if value > 0 else _LOWEST


def _legend(series: EvidenceSeries) -> str:
    words = series.test.value.replace("_", " ")
    return (
        f"The leading start of the test {words}: since {time_element(series.since)}. "
        "The evidence was never less than this line."
    )


def _describe(series: EvidenceSeries, last: EvidencePoint) -> str:
    return (
        f"evidence since {show_time(series.since)}: now {shown_evidence(last.value)}; "
        f"warns at {count(math.ceil(series.warn_line))}, "
        f"rolls back at {count(math.ceil(series.fail_line))}"
    )
