"""Durations: reading, and printing in a form that reads back."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.rollout_file.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("1s", timedelta(seconds=1)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
        ("365d", timedelta(days=365)),
        ("31536000s", timedelta(days=365)),
    ],
)
def test_a_duration_is_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "0s", "07d", "1.5h", "1w", "1 d", "1d\n", "-1d", "١d", "1h30m"]
)
def test_an_invalid_duration_gets_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write a whole number and a unit: 90s, 15m, 24h or 7d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["366d", "8761h", "31536001s", "99999999d"])
def test_more_than_a_year_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text} is more than 365d$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(seconds=90), "90s"),
        (timedelta(seconds=120), "2m"),
        (timedelta(hours=24), "1d"),
        (timedelta(hours=25), "25h"),
        (timedelta(0), "0s"),
        (timedelta(seconds=1.5), "1.5s"),
        (timedelta(microseconds=1), "0.000001s"),
        (timedelta(hours=-2), "-2h"),
        (timedelta(days=1000), "1000d"),
    ],
)
def test_a_duration_is_printed_in_its_largest_whole_unit(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@given(st.integers(min_value=1, max_value=365 * 86_400))
def test_a_printed_duration_reads_back(seconds: int) -> None:
    duration = timedelta(seconds=seconds)

    assert parse_duration(format_duration(duration)) == duration
