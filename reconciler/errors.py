"""Errors, classed by what the reader of the message can do about it.

Each class knows the exit code of the command that it ends (`Exit codes` in the reconcile contract). The
docstring is the message where none is given. A message is one line: place, what is wrong, what to do
next; it never holds a database URL or a password.
"""

from dataclasses import dataclass
from typing import ClassVar


class ReconcilerError(Exception):
    """The reconciler could not go on."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing wrong in a file: where (line and column count from 1) and what."""

    line: int
    column: int
    message: str


class FileInvalid(ReconcilerError):
    """Fix the file: everything that is wrong in it, in line order."""

    def __init__(self, path: str, findings: tuple[Finding, ...]) -> None:
        self.path = path
        self.findings = tuple(sorted(findings))
        lines = (f"{path}:{each.line}:{each.column}: {each.message}" for each in self.findings)
        super().__init__("\n".join(lines))


class EditRefused(ReconcilerError):
    """Edit the file by hand: a program cannot make this change and touch nothing else."""


class SetupInvalid(ReconcilerError):
    """Fix the setting: an address, a password, a permission, a missing program or an older schema."""


class NotFound(ReconcilerError):
    """Fix the name: nothing is called that."""


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
            f"{commit[:7]} does not descend from {applied_commit[:7]}, which is applied: "
            "history was rewritten, or this is another repository; nothing was written; "
            "if that is meant: --accept-history-rewrite"
        )


class Stale(ReconcilerError):
    """Do nothing: something newer is applied already."""

    exit_code = 4
