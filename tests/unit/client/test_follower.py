"""The time between two full reads of a client."""

import pytest

from rollout_client.follower import Found, Rest, next_rest


@pytest.mark.parametrize(
    ("found", "took", "pages_seconds", "expected"),
    [
        (Found.NOTHING_MOVED, 0.001, 0, Rest(0.1, 0)),
        (Found.NOTHING_MOVED, 2, 7, Rest(10, 7)),
        (Found.NEW_PAGES, 4, 0, Rest(0.1, 20)),
        (Found.PAGES_TO_READ, 1, 20, Rest(20, 0)),
        (Found.PAGES_TO_READ, 1, 0, Rest(5, 0)),
    ],
)
def test_the_rest_is_five_times_the_work(
    found: Found, took: float, pages_seconds: float, expected: Rest
) -> None:
    assert next_rest(found, took, pages_seconds) == expected
