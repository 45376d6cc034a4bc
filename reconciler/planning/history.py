"""What history calls the things that happen to a rollout (the contract's list)."""

from enum import StrEnum


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
    DRIFT_KEPT = "drift_kept"
    DRIFT_REVERTED = "drift_reverted"
    ADOPTED = "adopted"
    EMERGENCY_ROLLBACK = "emergency_rollback"
