"""How two commits relate, and what the commits between them say.

Questions of the history that a clone has. A shallow clone has not all of it: where that could change an
answer, the question is refused.
"""

import re
from enum import Enum, auto
from pathlib import Path

from reconciler.errors import SetupInvalid
from reconciler.git.command import GitFailed, git

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Relation(Enum):
    """How the commit that is checked out relates to the one applied before."""

    SAME = auto()
    AHEAD = auto()
    """It descends from the applied one."""
    BEHIND = auto()
    """The applied one descends from it: something newer is applied already."""
    APART = auto()
    """Neither: history was rewritten, or it is another repository."""
    UNKNOWN = auto()
    """The applied one is not in this clone: it came after the last fetch, or is as above."""


def relate(folder: Path, applied: str, head: str) -> Relation:
    """Tell how `head` relates to the commit `applied`.

    Raises:
        SetupInvalid: the clone is shallow, and what it lacks could change the answer.
    """
    if applied == head:
        return Relation.SAME
    is_known = _has(folder, applied)
    if is_known:
        if _is_ancestor(folder, applied, head):
            return Relation.AHEAD
        if _is_ancestor(folder, head, applied):
            return Relation.BEHIND
    refuse_shallow(folder, f"whether this commit is newer than the applied {applied[:7]}")
    return Relation.APART if is_known else Relation.UNKNOWN


def refuse_shallow(folder: Path, question: str) -> None:
    """Raise `SetupInvalid` where the clone lacks the history that a question is about."""
    if git(folder, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise SetupInvalid(
            f"this clone is shallow, so it cannot tell {question}; "
            "fetch all of it (on GitHub: fetch-depth: 0)"
        )


def trailers(folder: Path, key: str, applied: str | None, head: str) -> frozenset[str]:
    """Return the values of a trailer in the commits after `applied` up to `head`.

    Where nothing is applied, or what is applied is not in this history, `head` alone is read.
    """
    span = [f"{applied}..{head}"] if applied and _has(folder, applied) else ["-1", head]
    pattern = f"--format=%(trailers:key={key},valueonly,only)"
    found = git(folder, "log", pattern, *span)
    return frozenset(line.strip() for line in found.splitlines() if line.strip())


def _has(folder: Path, commit: str) -> bool:
    # What is asked for comes from the database: nothing but a commit's name reaches git.
    if not _COMMIT.fullmatch(commit):
        return False
    try:
        git(folder, "cat-file", "-e", f"{commit}^{{commit}}")
    except GitFailed:
        return False
    return True


def _is_ancestor(folder: Path, older: str, newer: str) -> bool:
    try:
        git(folder, "merge-base", "--is-ancestor", older, newer)
    except GitFailed as failure:
        if failure.exit_code != 1:
            raise
        return False
    return True
