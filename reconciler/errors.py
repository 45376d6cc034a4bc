"""Errors, classed by the next step of the person who reads the message.

Each class knows the exit code of the command that it ends (`Exit codes` in the reconcile contract).
The docstring is the default message. A message is one line: place, what is wrong, what to do next;
it never has a database URL or a password.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.wording import short_commit
from rollout_client.errors import ReconcilerError, SetupInvalid

__all__ = [
    "MAX_FINDINGS",
    "BranchBehind",
    "EditRefused",
    "FileInvalid",
    "Finding",
    "HistoryRewritten",
    "Moved",
    "NotFound",
    "OutcomeUnknown",
    "ReconcilerError",
    "Refused",
    "SetupInvalid",
    "Stale",
    "Unavailable",
]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One error in a file: its place (line and column count from 1) and its sentence."""

    line: int
    column: int
    message: str


MAX_FINDINGS: Final = 1_000
"""The findings of one file that are shown; a hostile file can have millions."""


class FileInvalid(ReconcilerError):
    """Fix the file: the first errors in it, in line order, and how many more there are."""

    def __init__(self, path: str, findings: Sequence[Finding], more: int = 0) -> None:
        """`more` counts errors that are not in `findings`."""
        self.path = path
        shown = tuple(sorted(findings)[:MAX_FINDINGS])
        more += len(findings) - len(shown)
        self.total = len(shown) + more
        """The number of all errors."""
        if more:
            last = shown[-1]
            message = f"{more:,} more errors are not shown; fix these first"
            shown = (*shown, Finding(last.line, last.column, message))
        self.findings = shown
        lines = (f"{path}:{each.line}:{each.column}: {each.message}" for each in self.findings)
        super().__init__("\n".join(lines))

    def renamed(self, path: str) -> "FileInvalid":
        """Return the same errors for a file with another name."""
        kept = self.findings[:MAX_FINDINGS]
        return FileInvalid(path, kept, self.total - len(kept))


class EditRefused(ReconcilerError):
    """Edit the file by hand: a program cannot make this change and touch nothing else."""


class NotFound(ReconcilerError):
    """Fix the name: nothing has this name."""


class Unavailable(ReconcilerError):
    """Wait and try again: the database or the remote did not answer, and nothing was written."""


class OutcomeUnknown(ReconcilerError):
    """Look before trying again: the database went away while it was asked to commit."""


class Refused(ReconcilerError):
    """Ask a person: the change is legal but risky, and nothing was written."""

    exit_code = 3


class HistoryRewritten(Refused):
    """Ask a person: the commit does not descend from the one that is applied."""

    def __init__(self, commit: str, applied_commit: str) -> None:
        self.applied_commit = applied_commit
        super().__init__(
            f"{short_commit(commit)} does not descend from {short_commit(applied_commit)}, which is applied: "
            "history was rewritten, this clone lacks newer commits, or this is another repository; "
            "nothing was written; fetch and look; to apply it all the same: --accept-history-rewrite"
        )


class BranchBehind(HistoryRewritten):
    """Merge the rollout's branch first: it has the applied commit, and this commit lacks it."""

    def __init__(self, commit: str, applied_commit: str, branch: str) -> None:
        self.applied_commit = applied_commit
        Refused.__init__(
            self,
            f"{short_commit(commit)} lacks {short_commit(applied_commit)} of {branch}, which is "
            f"applied; nothing was written; merge {branch} first",
        )


class Moved(ReconcilerError):
    """Look again: something changed between the look and the act, and nothing was written."""


class Stale(ReconcilerError):
    """Do nothing: something newer is applied already."""

    exit_code = 4
