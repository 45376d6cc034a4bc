"""The owners of a file by a CODEOWNERS file, as GitHub reads it: the last matching line counts."""

import re
from typing import Final

PLACES: Final = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
"""GitHub reads the first of these that exists."""
MAX_BYTES: Final = 3 * 1024 * 1024
"""GitHub does not read a larger one."""


def owners_of(path: str, code_owners: str) -> tuple[str, ...]:
    """Return the owners of a path: `@login`, `@organization/team` or an email address."""
    found: tuple[str, ...] = ()
    for line in code_owners.splitlines():
        pattern, *owners = _words(line)
        if pattern and _matches(pattern, path):
            found = tuple(owners)
    return found


def _words(line: str) -> list[str]:
    """Return the pattern and the owners of a line; a backslash stands before a space in a pattern."""
    words = re.findall(r"(?:\\.|[^\s\\])+", line)
    kept: list[str] = []
    for word in words:
        if word.startswith("#"):
            break
        kept.append(word)
    return kept or [""]


def _matches(pattern: str, path: str) -> bool:
    if pattern.startswith("!") or "[" in pattern:
        # GitHub does not support these, and skips the line.
        return False
    expression = _expression(pattern.replace("\\", ""))
    return re.fullmatch(expression, path) is not None


def _expression(pattern: str) -> str:
    is_anchored = "/" in pattern.rstrip("/")
    body = pattern.strip("/")
    parts = []
    for piece in re.split(r"(\*\*/|/\*\*$|\*\*|\*|\?)", body):
        match piece:
            case "**/":
                parts.append("(?:[^/]+/)*")
            case "/**":
                parts.append("/.*")
            case "**":
                parts.append(".*")
            case "*":
                parts.append("[^/]*")
            case "?":
                parts.append("[^/]")
            case _:
                parts.append(re.escape(piece))
    start = "" if is_anchored else "(?:[^/]+/)*"
    # `docs/*` has the files of the folder alone; a name also has all that is in a folder of this name.
    is_flat = body.endswith("/*") or (pattern.endswith("*") and is_anchored)
    end = "" if is_flat else "/.+" if pattern.endswith("/") else "(?:/.+)?"
    return f"{start}{''.join(parts)}{end}"
