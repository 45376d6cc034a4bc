"""The events of a rollout as the history records them: the names of the actions, and an action's cause."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """One kind of event in `rollout_history`."""

    CREATED = "created"
    PERCENTAGE_CHANGED = "percentage_changed"
    STRATEGY_CHANGED = "strategy_changed"
    WHITELIST_ADDED = "whitelist_added"
    WHITELIST_REMOVED = "whitelist_removed"
    EXCLUSION_ADDED = "exclusion_added"
    EXCLUSION_REMOVED = "exclusion_removed"
    HEALTH_CHANGED = "health_changed"
    UPDATED = "updated"
    DEACTIVATED = "deactivated"
    REACTIVATED = "reactivated"
    TEST_MARKED = "test_marked"
    TEST_UNMARKED = "test_unmarked"
    AUTO_ROLLBACK = "auto_rollback"
    ROLLBACK = "rollback"
    EMERGENCY_STOP = "emergency_stop"
    RESUMED = "resumed"
    RESTORED = "restored"
    DRIFT_KEPT = "drift_kept"
    DRIFT_REVERTED = "drift_reverted"
    ADOPTED = "adopted"
    EMERGENCY_ROLLBACK = "emergency_rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryCause:
    """Who changes something and why: one value for all rows of history of the change."""

    by: str
    """The author; the column stores the first 100 characters, the metadata all of them."""
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further details for each row, as JSON."""
    commit: str | None = None
    """The commit of the apply."""
    uncommitted: bool = False


def show_approval(details: Mapping[str, Any]) -> str:
    """Return who approved a change, from the metadata of history; other programs can write it too."""
    found = details.get("approval")
    if not isinstance(found, dict):
        return ""
    listed = found.get("approved_by")
    people = [
        f"{each.get('name')} ({each.get('at')})"
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict)
    ]
    allowed = found.get("allowed")
    if isinstance(allowed, dict):
        people.append(f"allowed by {allowed.get('by')}: {allowed.get('reason')}")
    return ", ".join(people)
