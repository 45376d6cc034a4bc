"""The names of guards, and a permission by name.

Apart from the guards, so that the options of the apply are known without what a plan needs: a shell that
completes a command waits for the import.
"""

from dataclasses import dataclass
from enum import StrEnum


class GuardName(StrEnum):
    """The name by which a person allows a finding."""

    MAX_INCREASE = "max-increase"
    MAX_REMOVAL = "max-removal"
    LIST_EMPTIED = "list-emptied"
    FEATURE_REMOVED = "feature-removed"
    SOAK = "soak"
    MAX_GAIN = "max-gain"
    NAME_REUSED = "name-reused"
    AUDIENCE_MOVED = "audience-moved"
    MARK_RESTORED = "mark-restored"
    FREEZE = "freeze"
    NOT_BEFORE = "not-before"
    MAX_SHIFT = "max-shift"
    APPROVAL = "approval"
    FIRST_APPLY = "first-apply"


@dataclass(frozen=True, slots=True)
class Allowed:
    """A guard that a person or a commit allows by name."""

    guard: GuardName
    feature: str | None = None
    """The feature for which it is allowed; None for every feature."""
    commit: str | None = None
    """The commit that allows it; None if the person who applies does."""
    reason: str | None = None
    """Why; known of `freeze` and `approval` alone, which need one."""
