"""Characters: those that a text must not hold, and showing a hostile text in one harmless line.

Control characters act on a terminal, bidirectional ones change the text that a reviewer sees, and line
separators change the line numbers of an editor. All are refused in a rollout file, also in a comment.
"""

import re
import unicodedata
from itertools import islice

from reconciler.escape import spelled_out

_BEYOND_LINES = (
    r"\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff"  # by code point
)
FORBIDDEN_IN_TEXT_PATTERN = rf"[\u0000-\u001f{_BEYOND_LINES}]"
"""A character that a one-line text must not hold; the pattern works in Python and in ECMAScript."""

_in_text = re.compile(rf"[\u0000-\u001f\ud800-\udfff{_BEYOND_LINES}]")
_in_file = re.compile(rf"[\u0000-\u0008\u000b\u000c\u000e-\u001f{_BEYOND_LINES}]")
_line_break = re.compile(r"\r\n|\r|\n")

SHOWN_LENGTH = 60
REPLACEMENT = "\ufffd"


def text_problem(text: str) -> str | None:
    """Return what is wrong with a one-line text, or None for a good one."""
    found = _in_text.search(text)
    if found is None:
        return None
    if found[0] in "\r\n":
        return "there is a line break in the text; write it on one line"
    character = describe_character(found[0])
    return f"{quoted(text)} has {character} at character {found.start() + 1}; remove it"


def one_line(text: str, longest: int) -> str:
    """Return a text for a rollout file: one line, without forbidden characters, within the length."""
    shown = "".join(each if text_problem(each) is None else " " for each in text).strip()
    return shown[:longest].strip() or "(none)"


def forbidden_characters(text: str, most: int | None = None) -> list[tuple[int, str]]:
    """Return the offset of each forbidden character, with its description; at most `most` of them."""
    found = islice(_in_file.finditer(text), most)
    return [(each.start(), describe_character(each[0])) for each in found]


def without_forbidden_characters(text: str) -> str:
    """Return the text with every forbidden character replaced by one other, which keeps all offsets."""
    return _in_file.sub(REPLACEMENT, text)


def position(text: str, begin: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    """Return the line and column, from 1, of the end of a text that begins at `begin`."""
    line, start = begin[0], 1 - begin[1]
    for found in _line_break.finditer(text):
        line, start = line + 1, found.end()
    return line, len(text) - start + 1


def describe_character(character: str) -> str:
    """Return a character's code point and, if it has one, its name, without the character itself."""
    name = unicodedata.name(character, "")
    code = f"U+{ord(character):04X}"
    if name:
        return f"{code} ({name})"
    return f"the control character {code}" if unicodedata.category(character) == "Cc" else code


def quoted(text: str) -> str:
    """Return a text in quotes, cut to the length of a line, with its control characters escaped."""
    return f"'{cut(text)}'"


def cut(text: str) -> str:
    """Return a text cut to the length of a line, with its control characters escaped."""
    shown = text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"
    return spelled_out(shown)
