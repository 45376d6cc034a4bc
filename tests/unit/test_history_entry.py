"""The change of a row of the history, in words."""

from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.database.history import HistoryEntry

WEEKEND = {
    "name": "weekend",
    "zone": "UTC",
    "from": "fri 16:00",
    "to": "mon 08:00",
    "features": None,
}
ONCALL = {"kind": "slack", "events": ["rolled_back", "stopped"], "severities": [], "features": None}


def change(field: str, before: Any, after: Any) -> str:
    details = {"field": field, "before": before, "after": after}
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return HistoryEntry(at, None, "updated", None, None, None, "ada", details).change


@pytest.mark.parametrize(
    ("field", "before", "after", "words"),
    [
        (
            "freezes.weekend",
            None,
            WEEKEND,
            "freezes.weekend added: name weekend, zone UTC, from fri 16:00, to mon 08:00",
        ),
        (
            "notifications.oncall",
            None,
            ONCALL,
            "notifications.oncall added: kind slack, events rolled_back and stopped",
        ),
        (
            "notifications.oncall",
            ONCALL,
            {**ONCALL, "events": ["stopped"], "features": ["capture"]},
            "notifications.oncall: events rolled_back and stopped → stopped, features (none) → capture",
        ),
        (
            "freezes.weekend",
            WEEKEND,
            None,
            "freezes.weekend removed: name weekend, zone UTC, from fri 16:00, to mon 08:00",
        ),
        ("categories.small", {"stars": 10}, {"stars": 20}, "categories.small: stars 10 → 20"),
        ("environments", [], ["a"] * 7, "environments 0 entries → 7 entries"),
        ("salt", "a", None, "salt a → (none)"),
        ("active", False, True, "active off → on"),
    ],
)
def test_a_change_says_what_came_what_went_and_only_what_differs(
    field: str, before: Any, after: Any, words: str
) -> None:
    assert change(field, before, after) == words
