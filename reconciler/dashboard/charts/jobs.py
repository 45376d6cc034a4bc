"""Jobs per five minutes by processor with their errors, on one time axis with marks."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from reconciler.dashboard.charts.svg import (
    WIDTH,
    Chart,
    TimeAxis,
    figure,
    label,
    nice_top,
    number,
    path,
    svg,
    table,
    tag,
    text,
    time_element,
)
from reconciler.planning.job_series import (
    JobSeries,
    Mark,
    MarkKind,
    WindowOfJobs,
)
from reconciler.wording import count, counted

if TYPE_CHECKING:
    from datetime import datetime

_LEFT: Final = 52.0
_RIGHT: Final = WIDTH - 8.0
_MARKS_TOP: Final = 16.0
_JOBS_TOP, _JOBS_BOTTOM = 24.0, 150.0
_ERRORS_TOP, _ERRORS_MIDDLE, _ERRORS_BOTTOM = 170.0, 206.0, 242.0
_HIGH: Final = 278.0
_LETTERS: Final[Mapping[MarkKind, str]] = {
    MarkKind.APPLY: "A",
    MarkKind.ROLLBACK: "R",
    MarkKind.RESUME: "S",
    MarkKind.PROMOTION: "P",
}
_LETTER_WIDTH: Final = 9.0


def jobs_chart(series: JobSeries) -> Chart:
    """Return the jobs and the failed jobs of both processors, with marks of what people and the watch did."""
    axis = TimeAxis(series.begins_at, series.ends_at, _LEFT, _RIGHT)
    new, baseline = series.of(series.processor), series.of(series.fallback)
    shown = (*new, *baseline)
    top = nice_top(max((each.jobs for each in shown), default=0))
    top_errors = nice_top(max((each.errors for each in shown), default=0))
    body = [
        axis.draw(_JOBS_TOP, _ERRORS_BOTTOM),
        *_scale("jobs", top, _JOBS_TOP, _JOBS_BOTTOM),
        *_scale("", top_errors, _ERRORS_TOP, _ERRORS_MIDDLE),
        label(_LEFT - 6, _ERRORS_BOTTOM + 4, count(round(top_errors)), "tick", "end"),
        label(_LEFT - 6, (_ERRORS_TOP + _ERRORS_MIDDLE) / 2 + 4, "failed", "tick", "end"),
        *_marks(series.marks, axis),
        path(_line(baseline, series, axis, top), "baseline line"),
        path(_line(new, series, axis, top), "new line"),
        path(_bars(baseline, series, axis, top_errors, direction=1), "baseline-failed"),
        path(_bars(new, series, axis, top_errors, direction=-1), "failed"),
    ]
    if not shown:
        body.append(label(_RIGHT - 12, 90.0, "no job in this time", "empty", "end"))
    drawing = svg(_describe(series, new, baseline), (WIDTH, _HIGH), body, "jobs")
    return figure("Jobs per five minutes", drawing, _table(series), _legend(series, new, baseline))


def _scale(name: str, top: float, above: float, below: float) -> Iterator[str]:
    yield tag("line", {"class": "axis", "x1": _LEFT, "x2": _RIGHT, "y1": below, "y2": below})
    yield tag("line", {"class": "grid", "x1": _LEFT, "x2": _RIGHT, "y1": above, "y2": above})
    yield label(_LEFT - 6, above + 5, count(round(top)), "tick", "end")
    yield label(_LEFT - 6, below + 4, "0", "tick", "end")
    if name:
        yield label(_LEFT - 6, (above + below) / 2 + 4, name, "tick", "end")


def _line(
    windows: Sequence[WindowOfJobs], series: JobSeries, axis: TimeAxis, top: float
) -> Iterator[str]:
    """Yield a line of steps; a window without a row had no job, so that the line returns to 0."""
    if not windows:
        return
    high = _JOBS_BOTTOM - _JOBS_TOP
    first = windows[0]
    begins_full = first.begins_at <= series.begins_at
    y = _JOBS_BOTTOM - high * first.jobs / top if begins_full else _JOBS_BOTTOM
    yield f"M{number(axis.x(series.begins_at))} {number(y)}"
    until = series.begins_at
    for each in windows:
        if each.begins_at > until:
            yield f"V{number(_JOBS_BOTTOM)}H{number(axis.x(each.begins_at))}"
        until = each.begins_at + series.window
        yield f"V{number(_JOBS_BOTTOM - high * each.jobs / top)}H{number(axis.x(until))}"
    if until < series.ends_at:
        yield f"V{number(_JOBS_BOTTOM)}H{number(axis.x(series.ends_at))}"


def _bars(
    windows: Sequence[WindowOfJobs],
    series: JobSeries,
    axis: TimeAxis,
    top: float,
    *,
    direction: int,
) -> Iterator[str]:
    """Yield a bar for each window with a failed job: upwards with -1, downwards with 1."""
    for each in windows:
        if not each.errors:
            continue
        left, right = axis.x(each.begins_at), axis.x(each.begins_at + series.window)
        high = max(2.0, (_ERRORS_MIDDLE - _ERRORS_TOP) * each.errors / top)
        wide = max(1.2, right - left)
        yield (
            f"M{number(left)} {number(_ERRORS_MIDDLE)}v{number(direction * high)}"
            f"h{number(wide)}v{number(-direction * high)}z"
        )


def _marks(marks: Sequence[Mark], axis: TimeAxis) -> Iterator[str]:
    """Yield a line and a letter for each mark; letters that would overlap share one place."""
    placed = [
        (axis.x(mark.at), mark) for mark in marks if axis.begins_at <= mark.at <= axis.ends_at
    ]
    taken = -_LETTER_WIDTH
    for x, found in groupby(placed, key=lambda each: round(each[0])):
        kinds = dict.fromkeys(mark.kind for _, mark in found)
        for kind in kinds:
            yield tag(
                "line",
                {
                    "class": f"mark {kind.value}",
                    "x1": float(x),
                    "x2": float(x),
                    "y1": _MARKS_TOP,
                    "y2": _ERRORS_BOTTOM,
                },
            )
        letters = "".join(_LETTERS[kind] for kind in kinds)
        if x - taken >= _LETTER_WIDTH:
            yield label(float(x), _MARKS_TOP - 4, letters, "letter", "middle")
            taken = x + _LETTER_WIDTH * (len(letters) - 1)


def _legend(
    series: JobSeries, new: Sequence[WindowOfJobs], baseline: Sequence[WindowOfJobs]
) -> str:
    entries = [
        (
            _sample("new line", "failed", 11, -8),
            f"{series.processor} (judged; failed ones upwards): {_sums(new)}",
        ),
        (
            _sample("baseline line", "baseline-failed", 2, 8),
            f"{series.fallback} (fallback; failed ones downwards): {_sums(baseline)}",
        ),
        *(
            (tag("b", {"class": "letter"}, _LETTERS[kind]), kind.words)
            for kind in MarkKind
            if any(mark.kind is kind for mark in series.marks)
        ),
    ]
    listed = "".join(tag("li", {}, f"{sample} {text(words)}") for sample, words in entries)
    return tag("ul", {"class": "legend"}, listed)


def _sample(line: str, bar: str, y: int, high: int) -> str:
    """Return a short piece of a line and a bar, as the chart draws them."""
    body = path(["M0 6H22"], line) + path([f"M26 {y}v{high}h5v{-high}z"], bar)
    return tag(
        "svg", {"class": "chart sample", "viewBox": "0 0 32 12", "aria-hidden": "true"}, body
    )


def _sums(windows: Sequence[WindowOfJobs]) -> str:
    jobs, errors = sum(each.jobs for each in windows), sum(each.errors for each in windows)
    return f"{counted(jobs, 'job')}, {count(errors)} failed{_share(errors, jobs)}"


def _share(errors: int, jobs: int) -> str:
    return f" ({100 * errors / jobs:.2f} %)" if jobs else ""


def _describe(
    series: JobSeries, new: Sequence[WindowOfJobs], baseline: Sequence[WindowOfJobs]
) -> str:
    marks = f"; {counted(len(series.marks), 'mark')}" if series.marks else ""
    return (
        f"jobs per five minutes: {series.processor} {_sums(new)}; "
        f"{series.fallback} {_sums(baseline)}{marks}"
    )


def _table(series: JobSeries) -> str:
    """Return the windows with a job and the marks, the newest first."""
    by_window: dict[datetime, dict[str, WindowOfJobs]] = {}
    for each in series.windows:
        by_window.setdefault(each.begins_at, {})[each.processor] = each
    rows = [
        (
            moment,
            (
                time_element(moment),
                *_cells(found.get(series.processor)),
                *_cells(found.get(series.fallback)),
                "",
            ),
        )
        for moment, found in by_window.items()
    ]
    rows += [
        (
            mark.at,
            (time_element(mark.at), "", "", "", "", text(f"{mark.kind.words}: {mark.summary}")),
        )
        for mark in series.marks
    ]
    ordered = [row for _, row in sorted(rows, key=lambda each: each[0], reverse=True)]
    return table(
        (
            "from",
            f"jobs of {series.processor}",
            "failed",
            f"jobs of {series.fallback}",
            "failed",
            "what happened",
        ),
        ordered,
    )


def _cells(window: WindowOfJobs | None) -> tuple[str, str]:
    return ("0", "0") if window is None else (count(window.jobs), count(window.errors))
