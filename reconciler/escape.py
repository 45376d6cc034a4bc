"""Text of people and programs, made harmless for a terminal, a log, a page or a spreadsheet."""

from typing import Final

_FORMULA_BEGINNINGS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A spreadsheet computes a cell that begins with one of these."""
_COMMAND: Final = "##["
"""GitHub's runner takes what follows it as a command, at any place of a line of the log."""


def spelled_out(text: str, kept: str = "") -> str:
    r"""Return text with control, direction and invisible characters spelled out, such as \x1b.

    Args:
        text: any text.
        kept: characters that stay, such as line breaks.
    """
    if not text.isprintable():
        text = "".join(
            each if each.isprintable() or each in kept else _spelled(each) for each in text
        )
    return text.replace(_COMMAND, "##\\x5b")


def text_cell(value: str) -> str:
    """Return a value that a spreadsheet shows as text; its line breaks stay."""
    begins_formula = value.lstrip(" ").startswith(_FORMULA_BEGINNINGS)
    shown = spelled_out(value, kept="\n")
    return f"'{shown}" if begins_formula else shown


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
