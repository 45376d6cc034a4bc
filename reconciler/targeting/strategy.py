"""Strategies: the three ways to choose repositories that no list names."""

from enum import StrEnum


class Strategy(StrEnum):
    """How a repository that is in neither list is decided."""

    PERCENTAGE = "percentage"
    WHITELIST = "whitelist"
    REPOSITORY_SIZE = "repository_size"
