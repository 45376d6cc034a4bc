"""Which commit a file is at: read from the repository around it, never changing it."""

from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import SetupInvalid
from reconciler.git.command import GitFailed, git


@dataclass(frozen=True, slots=True)
class Head:
    """The commit that is checked out where the file is."""

    commit: str | None
    """None in a repository that has no commit yet."""
    subject: str | None
    """The commit's first line."""
    uncommitted: bool
    """Whether the file has changes that this commit does not hold, or is not in it at all."""


def read_head(file: Path) -> Head | None:
    """Return the commit around a file; None where there is no git or no repository.

    Raises:
        SetupInvalid: there is a repository, but git will not read it.
    """
    folder = file.parent
    try:
        commit, _, subject = git(folder, "log", "-1", "--format=%H%n%s", "HEAD").partition("\n")
        changes = git(
            folder,
            "status",
            "--porcelain",
            "--ignored",
            "--untracked-files=all",
            "--",
            f":(literal){file.name}",
        )
    except FileNotFoundError:
        return None
    except GitFailed as failure:
        if "not a git repository" in str(failure):
            return None
        if _has_no_commit_yet(str(failure)):
            return Head(commit=None, subject=None, uncommitted=True)
        first_line = str(failure).partition("\n")[0]
        raise SetupInvalid(f"git cannot read the repository around {file}: {first_line}") from None
    return Head(commit=commit, subject=subject.strip(), uncommitted=bool(changes))


def _has_no_commit_yet(message: str) -> bool:
    """Tell this harmless failure, in git's words under the C locale, from all others."""
    return "does not have any commits yet" in message or "ambiguous argument 'HEAD'" in message
