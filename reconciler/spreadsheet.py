"""Cells of a CSV file that a spreadsheet opens."""

from typing import Final

_FORMULA_BEGINNINGS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A spreadsheet computes a cell that begins with one of these."""


def text_cell(value: str) -> str:
    """Return a value that a spreadsheet shows as text."""
    return f"'{value}" if value.lstrip(" ").startswith(_FORMULA_BEGINNINGS) else value
