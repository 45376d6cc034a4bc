"""Directions: whether a change of a field lets fewer repositories in, or more."""

from decimal import Decimal
from enum import Enum, auto


class Direction(Enum):
    """What a change of one field does to the audience."""

    NARROWS = auto()
    WIDENS = auto()
    NEITHER = auto()
    """It has nothing to do with who is in."""
    BY_AUDIENCE = auto()
    """Only the two sets of eligible repositories tell."""


def of_percentage(before: Decimal, after: Decimal) -> Direction:
    """A lower percentage narrows."""
    return Direction.NARROWS if after < before else Direction.WIDENS


def of_activity(before: bool, after: bool) -> Direction:  # noqa: FBT001 - the field's own values
    """Turning a feature off narrows."""
    return Direction.NARROWS if before and not after else Direction.WIDENS


def of_stop(before: bool, after: bool) -> Direction:  # noqa: FBT001 - the field's own values
    """Stopping narrows."""
    return Direction.NARROWS if after and not before else Direction.WIDENS


def of_audience(before: object, after: object) -> Direction:  # noqa: ARG001 - as the others
    """Return that only the sets tell: another strategy or salt draws another audience."""
    return Direction.BY_AUDIENCE


def of_nothing(before: object, after: object) -> Direction:  # noqa: ARG001 - as the others
    """Return that a field has no direction."""
    return Direction.NEITHER
