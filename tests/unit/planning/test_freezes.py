"""Freezes: against a clock on the wall that is read minute by minute, and by hand on odd days."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.planning.freezes import current, find_hold, of_feature, upcoming, windows_near
from reconciler.rollout_file.freezes import Freeze, WeekTime, parse_freeze_time

FIRST, LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
A_MINUTE = timedelta(minutes=1)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "America/Santiago",
    "Asia/Tehran",
    "Europe/Dublin",
    "Antarctica/Troll",
)


def freeze(
    begin: str, end: str, zone: str = "Europe/Berlin", name: str = "f", **more: object
) -> Freeze:
    return Freeze.model_validate({"name": name, "zone": zone, "from": begin, "to": end, **more})


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@cache
def offset_changes(zone: str) -> tuple[datetime, ...]:
    """Return each hour from 2020 to 2035 in which a zone has a new offset."""
    clock, found, at = ZoneInfo(zone), [], FIRST
    before = at.astimezone(clock).utcoffset()
    while at < LAST:
        at += timedelta(hours=6)
        after = at.astimezone(clock).utcoffset()
        if after != before:
            found.append(at)
        before = after
    return tuple(found)


def walls(zone: str, around: datetime) -> list[tuple[datetime, datetime]]:
    """Return each minute of some days with what a clock on the wall shows."""
    clock = ZoneInfo(zone)
    minutes = [around + n * A_MINUTE for n in range(-2 * 24 * 60, 2 * 24 * 60)]
    return [(each, each.astimezone(clock).replace(tzinfo=None)) for each in minutes]


def first_minute(clock: list[tuple[datetime, datetime]], wall: datetime) -> datetime | None:
    """Return the first minute that shows a time, or a later one if the clock skips it."""
    shown = {shows: at for at, shows in reversed(clock)}
    latest = max(shown)
    while wall not in shown:
        if wall > latest:
            return None
        wall += A_MINUTE
    return shown[wall]


def last_minute(clock: list[tuple[datetime, datetime]], wall: datetime) -> datetime | None:
    """Return the last minute that shows a time; the first after a gap if the clock skips it."""
    shown = {shows: at for at, shows in clock}
    return shown.get(wall) or first_minute(clock, wall)


def oracle(clock: list[tuple[datetime, datetime]], begin: datetime, end: datetime) -> set[datetime]:
    """Return the minutes in which a dated freeze holds."""
    first, last = first_minute(clock, begin), last_minute(clock, end)
    assert first is not None
    assert last is not None
    return {at for at, _ in clock if first <= at < last}


@st.composite
def windows_at_changes(
    draw: st.DrawFn, zones: tuple[str, ...] = ZONES
) -> tuple[str, datetime, datetime, datetime]:
    zone = draw(st.sampled_from(zones))
    changes = offset_changes(zone) or (datetime(2026, 6, 1, tzinfo=UTC),)
    around = draw(st.sampled_from(changes))
    local = around.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    begin = local + timedelta(minutes=draw(st.integers(-20 * 60, 8 * 60)))
    end = begin + timedelta(minutes=draw(st.integers(1, 14 * 60)))
    return zone, around, begin, end


@settings(max_examples=500)
@given(windows_at_changes())
def test_dated_freezes_agree_with_a_clock_on_the_wall(
    case: tuple[str, datetime, datetime, datetime],
) -> None:
    agrees_when_dated(*case)


@settings(max_examples=500)
@given(windows_at_changes())
def test_weekly_freezes_agree_with_a_clock_on_the_wall(
    case: tuple[str, datetime, datetime, datetime],
) -> None:
    agrees_when_weekly(*case)


@pytest.mark.nightly
@settings(max_examples=10_000)
@given(windows_at_changes(tuple(sorted(available_timezones() - {"Factory", "localtime"}))))
def test_freezes_of_all_zones_agree_with_a_clock_on_the_wall(
    case: tuple[str, datetime, datetime, datetime],
) -> None:
    agrees_when_dated(*case)
    agrees_when_weekly(*case)


def agrees_when_dated(zone: str, around: datetime, begin: datetime, end: datetime) -> None:
    clock = walls(zone, around)
    each = freeze(f"{begin:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}", zone)
    agrees(each, around, clock, oracle(clock, begin, end))


def agrees_when_weekly(zone: str, around: datetime, begin: datetime, end: datetime) -> None:
    clock = walls(zone, around)
    each = Freeze(
        name="f",
        zone=zone,
        begin=WeekTime(begin.weekday(), begin.time()),
        end=WeekTime(end.weekday(), end.time()),
    )
    agrees(each, around, clock, oracle(clock, begin, end))


def agrees(
    each: Freeze, around: datetime, clock: list[tuple[datetime, datetime]], frozen: set[datetime]
) -> None:
    windows = list(windows_near(each, around))
    assert {
        at for at, _ in clock if any(window.begin <= at < window.end for window in windows)
    } == frozen
    # A decision at one of these minutes is the same as one from afar.
    edges = (
        {at + n * A_MINUTE for at in (min(frozen), max(frozen)) for n in (-1, 0, 1)}
        if frozen
        else ()
    )
    for at in edges:
        assert bool(current((each,), at)) == (at in frozen)


@pytest.mark.parametrize(
    ("begin", "end", "inside", "outside"),
    [
        # The clock of Berlin goes from 02:00 to 03:00 on 2026-03-29, at 01:00 UTC.
        ("2026-03-29 02:30", "2026-03-29 04:00", "2026-03-29 01:00", "2026-03-29 00:59"),
        ("2026-03-29 01:00", "2026-03-29 02:30", "2026-03-29 00:59", "2026-03-29 01:00"),
        # It shows 02:00 to 03:00 twice on 2026-10-25, from 00:00 and from 01:00 UTC.
        ("2026-10-25 02:30", "2026-10-25 02:45", "2026-10-25 01:15", "2026-10-25 01:45"),
        ("2026-10-25 02:30", "2026-10-25 02:45", "2026-10-25 00:30", "2026-10-25 00:29"),
        ("sun 02:30", "sun 02:45", "2026-10-25 01:44", "2026-10-25 01:45"),
        ("fri 16:00", "mon 08:00", "2026-11-27 15:00", "2026-11-27 14:59"),
        ("fri 16:00", "mon 08:00", "2026-11-30 06:59", "2026-11-30 07:00"),
    ],
)
def test_days_on_which_the_clock_changes(begin: str, end: str, inside: str, outside: str) -> None:
    each = freeze(begin, end)
    assert find_hold(of_feature((each,), "x"), moment(inside)) is not None
    assert find_hold(of_feature((each,), "x"), moment(outside)) is None


def test_a_time_that_the_clock_skips_entirely_freezes_nothing() -> None:
    each = freeze("2026-03-29 02:10", "2026-03-29 02:50")
    assert not any(current((each,), moment("2026-03-29 00:00") + n * A_MINUTE) for n in range(180))


def test_the_end_is_that_of_the_last_freeze_in_a_row() -> None:
    weekend = freeze("fri 16:00", "mon 08:00", name="weekend")
    monday = freeze("2026-11-30 08:00", "2026-11-30 12:00", name="release day")
    hold = find_hold(of_feature((weekend, monday), "capture"), moment("2026-11-28 10:00"))
    assert hold is not None
    assert hold.names == ("weekend",)
    assert hold.until == moment("2026-11-30 11:00")
    assert hold.sentence == (
        "the freeze weekend holds every widening until "
        "mon 2026-11-30 12:00 Europe/Berlin (2026-11-30T11:00:00Z)"
    )


def test_freezes_that_never_end_are_answered_too() -> None:
    each = freeze("mon 00:00", "sun 00:00", "UTC"), freeze("sat 00:00", "mon 00:00", "UTC")
    hold = find_hold(of_feature(each, "capture"), moment("2026-11-28 10:00"))
    assert hold is not None
    assert hold.until > moment("2028-11-01 00:00")


def test_a_freeze_of_one_feature_leaves_the_others() -> None:
    each = freeze("fri 16:00", "mon 08:00", features=["capture"])
    assert find_hold(of_feature((each,), "capture"), moment("2026-11-28 10:00")) is not None
    assert find_hold(of_feature((each,), "search"), moment("2026-11-28 10:00")) is None


def test_the_next_window_of_each_freeze_comes_in_order() -> None:
    weekend, past, year_end = (
        freeze("fri 16:00", "mon 08:00", name="weekend"),
        freeze("2026-01-01 00:00", "2026-01-02 00:00", name="past"),
        freeze("2026-12-18 16:00", "2027-01-04 08:00", name="year end"),
    )
    found = upcoming((year_end, weekend, past), moment("2026-11-28 10:00"))
    assert [each.freeze.name for each in found] == ["weekend", "year end"]
    assert found[0].begin == moment("2026-12-04 15:00")


@pytest.mark.parametrize("text", ["fri 16:00", "sun 00:00", "2026-12-18 16:00"])
def test_times_are_written_as_they_are_read(text: str) -> None:
    each = freeze(text, "mon 08:00" if text[0] in "fs" else "2027-01-01 00:00")
    assert each.model_dump(mode="json")["from"] == text
    assert Freeze.model_validate(each.model_dump(mode="json")) == each


@pytest.mark.parametrize(
    "text", ["fri 24:00", "fri 4:00", "2026-02-30 10:00", "1999-01-01 00:00", "friday 16:00", ""]
)
def test_other_texts_are_no_times(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|years"):
        parse_freeze_time(text)
