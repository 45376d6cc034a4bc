"""Which commit a file is at: read from the repository around it, never changing it."""

from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import SetupInvalid
from reconciler.git.command import GitFailed, git


@dataclass(frozen=True, slots=True)
class Head:
    """The commit that is checked out where the file is."""

    commit: str
    subject: str
    """The commit's first line."""
    uncommitted: bool
    """Whether the file has changes that this commit does not hold, or is not in it at all."""


def read_head(file: Path) -> Head | None:
    """Return the commit around a file; None where there is no git, no repository or no commit yet.

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
        if _is_nothing_to_read(str(failure)):
            return None
        first_line = str(failure).partition("\n")[0]
        raise SetupInvalid(f"git cannot read the repository around {file}: {first_line}") from None
    return Head(commit=commit, subject=subject.strip(), uncommitted=bool(changes))


def _is_nothing_to_read(message: str) -> bool:
    """Tell the two harmless failures, in git's words under the C locale, from all others."""
    return (
        "not a git repository" in message
        or "does not have any commits yet" in message
        or "ambiguous argument 'HEAD'" in message
    )
