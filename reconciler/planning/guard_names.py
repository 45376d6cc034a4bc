"""The names of the guards, by which a person allows what one refuses."""

from enum import StrEnum


class GuardName(StrEnum):
    """What a person allows a finding by."""

    MAX_INCREASE = "max-increase"
    MAX_REMOVAL = "max-removal"
    LIST_EMPTIED = "list-emptied"
    FEATURE_REMOVED = "feature-removed"
    SOAK = "soak"
    MAX_GAIN = "max-gain"
    NAME_REUSED = "name-reused"
