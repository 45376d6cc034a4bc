"""Markdown for GitHub: texts within its limit, blocks of code that nothing in them ends."""

from collections.abc import Iterable
from typing import Final

MAX_CHARACTERS: Final = 60_000
"""GitHub refuses a comment of more than 65,536; some are left for what a workflow adds."""

_CUT: Final = "_More than fits here: run_ `reconcile --dry-run` _to see the rest._"


def joined(parts: Iterable[str], most: int = MAX_CHARACTERS) -> str:
    """Return parts of Markdown as one text of at most so many characters; what is cut is said."""
    room = most - len(_CUT) - 2
    fitting: list[str] = []
    for part in parts:
        room -= len(part) + 2
        if room < 0:
            fitting.append(_CUT)
            break
        fitting.append(part)
    return "\n\n".join(fitting)


def code_block(text: str) -> str:
    """Return text as a block of code, whatever fences are in it."""
    harmless = text.replace("```", "`\u200b``")
    return f"```text\n{harmless}\n```"
