"""Strategies: the three ways to choose repositories that are in neither list."""

from enum import StrEnum


class Strategy(StrEnum):
    """How eligibility of a repository that is in neither list is decided."""

    PERCENTAGE = "percentage"
    WHITELIST = "whitelist"
    REPOSITORY_SIZE = "repository_size"
