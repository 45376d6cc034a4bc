"""The methods by which a feature's jobs are judged."""

from enum import StrEnum


class HealthMethod(StrEnum):
    """How a feature's jobs are judged."""

    THRESHOLD = "threshold"
    """The error rate within the window is over its limit."""
    EVIDENCE = "evidence"
    """A test that may be looked at at any time proves that the jobs are worse than they may be."""
