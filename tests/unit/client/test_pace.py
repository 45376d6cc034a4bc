"""When features are read after notifications: ten times a second at most, and a stop does not wait behind a flood."""

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rollout_client.pace import ReadPace

FLOODER, OPERATOR = 1, 2
END = 100.0
Heard = tuple[float, int]


def reads(notifications: Iterable[Heard]) -> list[float]:
    """Return when a follower reads that hears these notifications; a read takes no time."""
    pace, moments, last_heard = ReadPace(), [0.0], 0.0
    pace.began(0.0)
    for at, sender in [*sorted(notifications), (END, FLOODER)]:
        if pace.due <= at:
            moments.append(max(pace.due, last_heard))
            pace.began(moments[-1])
        pace.heard(sender, at)
        last_heard = at
    return moments


def flood(seconds: int, senders: int = 1) -> list[Heard]:
    return [(number / 400, FLOODER + 2 * (number % senders)) for number in range(400 * seconds)]


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 5))), st.integers(0, 3))
def test_no_notifications_cause_more_than_ten_reads_a_second(
    others: list[Heard], flooded_seconds: int
) -> None:
    moments = reads([*others, *flood(flooded_seconds)])

    for first, begin in enumerate(moments):
        for number, end in enumerate(moments[first:]):
            assert number <= (end - begin) * 10 + 1 + 1e-6


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 5)), min_size=1))
def test_each_notification_is_followed_by_a_read(notifications: list[Heard]) -> None:
    moments = reads(notifications)

    for heard, _ in notifications:
        assert any(heard <= each <= heard + 0.2 + 1e-6 for each in moments)


@given(st.floats(0.05, 3.9), st.integers(1, 5))
def test_another_sender_waits_at_most_a_tenth_of_a_second(at: float, senders: int) -> None:
    moments = reads([*flood(4, senders), (at, OPERATOR)])

    assert any(at <= each <= at + 0.1 + 1e-6 for each in moments)


def test_in_a_flood_of_one_sender_another_one_does_not_wait() -> None:
    waits = []
    for number in range(100):
        at = 1.5 + number / 97
        moments = reads([*flood(4), (at, OPERATOR)])
        waits.append(min(each for each in moments if each >= at) - at)

    assert sorted(waits)[95] < 0.01


def test_a_sender_that_was_quiet_for_a_while_is_heard_at_once_again() -> None:
    heard = [*flood(1), (9.0, FLOODER), (9.01, FLOODER)]

    assert [each for each in reads(heard) if each >= 9] == [9.0, 9.01]


def test_a_flood_alone_is_read_at_equal_distances() -> None:
    moments = reads(flood(4))

    assert all(abs(after - before - 0.1) < 0.01 for before, after in pairwise(moments[5:-1]))
