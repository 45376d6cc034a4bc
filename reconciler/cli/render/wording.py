"""Figures and words as people write them."""

from typing import Final

WIDTH: Final = 100
"""No line of output is longer, unless a name is."""


def count(number: int) -> str:
    """Return a number with its thousands apart: 1,204."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Return a number of things: 1 change, 2 changes, 3 repositories."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count(number)} {noun if number == 1 else plural}"


def gains(gained: int, lost: int) -> str:
    """Return who comes and goes, leaving out what is nobody: +120 −3."""
    parts = ((gained, f"+{count(gained)}"), (lost, f"−{count(lost)}"))
    return " ".join(part for number, part in parts if number)


def short_commit(commit: str) -> str:
    """Return as much of a commit's name as people read."""
    return commit[:7]
