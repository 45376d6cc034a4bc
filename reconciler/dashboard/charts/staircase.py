"""The stages of a feature as a staircase: what is done, what soaks, and when each stage may come."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from reconciler.dashboard.charts.svg import (
    WIDTH,
    Chart,
    figure,
    label,
    svg,
    table,
    tag,
    text,
    time_element,
)
from reconciler.planning.stage_dates import StageDate, StageState
from reconciler.rollout_file.durations import format_duration
from reconciler.wording import show_number

_TOP, _BOTTOM = 24.0, 150.0
_HIGH: Final = 196.0
_SIGNS = {StageState.DONE: "✓ done", StageState.CURRENT: "● now", StageState.COMING: "○ coming"}
_MOST_WORDS: Final = 8
"""With more stages, a step has no room for words; the table has them."""


def staircase(stages: Sequence[StageDate]) -> Chart | None:
    """Return the stages as steps; None without a progression."""
    if not stages:
        return None
    wide = WIDTH / len(stages)
    body = [
        part for place, stage in enumerate(stages) for part in _step(stages, stage, place, wide)
    ]
    drawing = svg(_describe(stages), (WIDTH, _HIGH), body, "stages")
    return figure("Stages", drawing, _table(stages))


def _step(stages: Sequence[StageDate], stage: StageDate, place: int, wide: float) -> "list[str]":
    share = (place + 1) / len(stages)
    top = _BOTTOM - share * (_BOTTOM - _TOP)
    left, middle = place * wide, (place + 0.5) * wide
    box = {"x": left + 1, "y": top, "width": wide - 2, "height": _BOTTOM - top, "rx": 3.0}
    parts = [
        tag("rect", {"class": f"step {stage.state.value}", **box}),
        label(middle, top - 7, f"{show_number(stage.percentage)} %", "label strong", "middle"),
    ]
    if len(stages) <= _MOST_WORDS:
        parts.append(label(middle, _BOTTOM + 17, _sign(stage), "tick", "middle"))
        parts.append(_date(stage, middle))
    return parts


def _sign(stage: StageDate) -> str:
    is_held = stage.state is StageState.CURRENT and stage.soak_left is None
    return "● in the file" if is_held else _SIGNS[stage.state]


def _date(stage: StageDate, middle: float) -> str:
    y = _BOTTOM + 34
    if stage.may_come_at is not None:
        shown = stage.may_come_at.strftime("%m-%d %H:%M")
        attributes = {
            "class": "tick",
            "x": middle,
            "y": y,
            "text-anchor": "middle",
            "data-time": stage.may_come_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "data-form": "day-and-clock",
        }
        return tag("text", attributes, text(shown))
    return label(middle, y, _left(stage), "tick", "middle")


def _left(stage: StageDate) -> str:
    if stage.soak_left is None:
        return "held, so it does not soak" if stage.state is StageState.CURRENT else ""
    if not stage.soak_left:
        return "has soaked"
    return f"soaks {_in_hours(stage.soak_left)} more"


def _in_hours(duration: timedelta) -> str:
    """Return a duration in days and hours, or in hours and minutes, rounded up."""
    if duration > timedelta(days=2):
        days, hours = divmod(-(-duration // timedelta(hours=1)), 24)
        return f"{days}d {hours}h" if hours else f"{days}d"
    hours, minutes = divmod(-(-duration // timedelta(minutes=1)), 60)
    return " ".join([*([f"{hours}h"] if hours else []), *([f"{minutes}m"] if minutes else [])])


def _describe(stages: Sequence[StageDate]) -> str:
    now = next((each for each in stages if each.state is StageState.CURRENT), None)
    at = "no stage is reached" if now is None else f"now at {show_number(now.percentage)} percent"
    left = "" if now is None or now.soak_left is None else f", {_left(now)}"
    return f"{len(stages)} stages; {at}{left}"


def _table(stages: Sequence[StageDate]) -> str:
    rows = (
        (
            f"{show_number(each.percentage)} %",
            each.state.value,
            format_duration(each.soak),
            _left(each),
            "" if each.may_come_at is None else time_element(each.may_come_at),
        )
        for each in stages
    )
    return table(("stage", "state", "soak", "left", "not before"), rows)
