"""Requests that cannot be read do not fill a log."""

import time

import pytest

from reconciler import invalid_requests
from reconciler.invalid_requests import InvalidRequests


def test_one_request_a_second_is_reported_with_the_number_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    reported: list[tuple[str, int]] = []
    requests = InvalidRequests(lambda why, others: reported.append((why, others)))

    for each in range(500):
        requests.note("127.0.0.1", f"reason {each}")
    now += invalid_requests.SECONDS_BETWEEN
    requests.note("127.0.0.1", "a" * 1000)

    assert reported == [("127.0.0.1: reason 0", 0), (f"127.0.0.1: {'a' * 200}", 499)]
