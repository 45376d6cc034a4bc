"""Freezes: which hold at a time, until when, and which come next.

A freeze holds each change that widens an audience: a raise, a whitelist entry, a lifted exclusion, a resume,
a promotion. It never holds a change that narrows it. Times are moments in UTC, end-exclusive; the zone of a
freeze decides where they are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from reconciler.planning.guard_names import GuardName
from reconciler.planning.guards import Finding
from reconciler.planning.named_changes import NamedChanges
from reconciler.planning.stored_state import unreadable_key
from reconciler.rollout_file.freezes import WEEKDAYS, Freeze, WeekTime
from reconciler.rollout_file.zones import format_wall_time, moment_of, read_zone
from reconciler.wording import exact_time, show_time

_A_WEEK: Final = timedelta(days=7)
_HORIZON: Final = timedelta(days=731)
"""Freezes that follow each other for longer than this have no end."""


@dataclass(frozen=True, slots=True)
class Window:
    """One time in which a freeze holds, from `begin` to just before `end`."""

    freeze: Freeze
    begin: datetime
    end: datetime

    @property
    def shown_times(self) -> str:
        """Begin and end by the clock of the freeze's zone."""
        begin, end = (_show_wall(each, self.freeze) for each in (self.begin, self.end))
        return f"{begin} to {end} {self.freeze.zone}"

    @property
    def shown_end(self) -> str:
        """The end by the clock of the freeze's zone, and in UTC."""
        return show_in_zone(self.end, self.freeze)


@dataclass(frozen=True, slots=True)
class Hold:
    """The freezes that hold a feature at a time."""

    windows: tuple[Window, ...]
    """Those that hold at the time, the earliest end first."""
    last: Window
    """The last of those that follow without a gap: its end is when widening is possible again."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the freezes that hold at the time."""
        return tuple(dict.fromkeys(each.freeze.name for each in self.windows))

    @property
    def until(self) -> datetime:
        """The first moment at which no freeze holds."""
        return self.last.end

    @property
    def sentence(self) -> str:
        """Which freezes hold, and until when."""
        names = ", ".join(self.names)
        subject = (
            f"the freeze {names} holds" if len(self.names) == 1 else f"the freezes {names} hold"
        )
        return f"{subject} every widening until {self.last.shown_end}"


def show_in_zone(moment: datetime, freeze: Freeze) -> str:
    """Return a moment by the clock of a freeze's zone, and in UTC."""
    shown = f"{_show_wall(moment, freeze)} {freeze.zone}"
    return shown if freeze.zone == "UTC" else f"{shown} ({show_time(moment)})"


def _show_wall(moment: datetime, freeze: Freeze) -> str:
    local = moment.astimezone(read_zone(freeze.zone))
    return f"{WEEKDAYS[local.weekday()]} {format_wall_time(local)}"


def windows_near(freeze: Freeze, at: datetime) -> Iterator[Window]:
    """Yield the windows of a freeze around a time: the only one, or those of the weeks beside it."""
    zone = read_zone(freeze.zone)
    for begin, end in _wall_times(freeze, at.astimezone(zone).replace(tzinfo=None)):
        window = Window(
            freeze, moment_of(begin, zone, second=False), moment_of(end, zone, second=True)
        )
        # The clock can skip all of it.
        if window.begin < window.end:
            yield window


def _wall_times(freeze: Freeze, near: datetime) -> Iterator[tuple[datetime, datetime]]:
    begin, end = freeze.begin, freeze.end
    if isinstance(begin, datetime) and isinstance(end, datetime):
        yield begin, end
    elif isinstance(begin, WeekTime) and isinstance(end, WeekTime):
        monday = near.date() - timedelta(days=near.weekday())
        for week in range(-2, 3):
            first = monday + week * _A_WEEK
            begins, ends = (
                datetime.combine(first + timedelta(days=each.weekday), each.time)
                for each in (begin, end)
            )
            yield begins, ends if begins < ends else ends + _A_WEEK


def of_feature(freezes: Iterable[Freeze], feature: str) -> tuple[Freeze, ...]:
    """Return the freezes that apply to a feature."""
    return tuple(each for each in freezes if each.holds(feature))


def find_hold(freezes: Sequence[Freeze], at: datetime) -> Hold | None:
    """Return what holds at a time; None if no freeze does."""
    holding = sorted(_holding(freezes, at), key=lambda each: each.end)
    if not holding:
        return None
    last = holding[-1]
    while last.end - at < _HORIZON:
        following = max(_holding(freezes, last.end), key=lambda each: each.end, default=None)
        if following is None:
            break
        last = following
    return Hold(tuple(holding), last)


def _holding(freezes: Iterable[Freeze], at: datetime) -> Iterator[Window]:
    for freeze in freezes:
        for window in windows_near(freeze, at):
            if window.begin <= at < window.end:
                yield window


def upcoming(freezes: Sequence[Freeze], at: datetime) -> tuple[Window, ...]:
    """Return the next window of each freeze that begins after a time, the earliest first."""
    found = []
    for freeze in freezes:
        begins = [each for each in windows_near(freeze, at) if each.begin > at]
        found += sorted(begins, key=lambda each: each.begin)[:1]
    return tuple(sorted(found, key=lambda each: each.begin))


def current(freezes: Sequence[Freeze], at: datetime) -> tuple[Window, ...]:
    """Return the windows that hold at a time, the earliest end first."""
    return tuple(sorted(_holding(freezes, at), key=lambda each: each.end))


def read_freezes(stored: Sequence[Any] | None) -> tuple[Freeze, ...]:
    """Return the freezes that an apply stored as JSON.

    Raises:
        SetupInvalid: a newer release stored a freeze that this release cannot read.
    """
    try:
        return tuple(map(Freeze.model_validate, stored or ()))
    except ValidationError as error:
        raise unreadable_key("freezes", error) from error


FreezesPlan = NamedChanges[Freeze]
"""What an apply changes about the freezes."""


@dataclass(frozen=True, slots=True)
class OverriddenFreeze:
    """A freeze that a person goes through."""

    hold: Hold
    reason: str

    @property
    def details(self) -> Mapping[str, Any]:
        """The freeze as the metadata of history has it."""
        return {
            "freeze": {
                "names": list(self.hold.names),
                "until": exact_time(self.hold.until),
                "reason": self.reason,
            }
        }


@dataclass(frozen=True, slots=True)
class Frozen(Finding):
    """A widening while a freeze holds the feature."""

    guard: ClassVar = GuardName.FREEZE
    hold: Hold

    @property
    def message(self) -> str:
        """The freezes, and until when they hold."""
        return self.hold.sentence

    @property
    def holds_at(self) -> datetime:
        """The first moment at which no freeze holds."""
        return self.hold.until


class FreezeChangeReport(BaseModel):
    """A freeze with other times, another zone or other features."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    before: Freeze
    after: Freeze


class FreezesReport(BaseModel):
    """What changes about the freezes, each by its name."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    added: dict[str, Freeze] = {}
    removed: dict[str, Freeze] = {}
    changed: dict[str, FreezeChangeReport] = {}


def report_freezes(freezes: FreezesPlan) -> FreezesReport:
    """Return what changes about the freezes as the JSON of a plan has it."""
    return FreezesReport.model_validate(freezes.parts)


def by_name(freezes: Iterable[Freeze]) -> dict[str, Freeze]:
    """Return freezes by their names."""
    return {each.name: each for each in freezes}
