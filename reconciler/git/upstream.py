"""Moving a checkout to the newest commit of the branch that it follows; never over anything of its own."""

from pathlib import Path

from reconciler.errors import SetupInvalid
from reconciler.git.command import GitFailed, git

TIMEOUT_SECONDS = 60


def follow_upstream(folder: Path) -> bool:
    """Bring the branch that is checked out up to its upstream; return whether that moved it.

    Raises:
        SetupInvalid: it has no upstream, has commits of its own, or the remote does not answer.
    """
    try:
        before = git(folder, "rev-parse", "HEAD")
        git(folder, "pull", "--quiet", "--ff-only", "--no-tags", timeout_seconds=TIMEOUT_SECONDS)
        return git(folder, "rev-parse", "HEAD") != before
    except GitFailed as failure:
        said = str(failure).strip().partition("\n")[0]
        raise SetupInvalid(f"the checkout cannot follow its branch: {said}") from None
