"""A new repository with a remote beside it, for a trial on one machine."""

from pathlib import Path

from reconciler.errors import SetupInvalid
from reconciler.git.command import GitFailed, RestrictedGit
from reconciler.git.repository import require_supported_git

BRANCH = "main"


def create_repository(folder: Path, remote: Path, message: str) -> None:
    """Make a repository of a folder's files, with one commit on `main`, and push it to a new bare remote.

    The commit is the person's if git knows their name, else of `demo`; it is not signed.

    Raises:
        SetupInvalid: git is missing, too old, or refuses to.
    """
    require_supported_git()
    git = RestrictedGit(folder)
    try:
        git.init("--quiet", "--bare", f"--initial-branch={BRANCH}", str(remote))
        git.init("--quiet", f"--initial-branch={BRANCH}")
        for key in ("name", "email"):
            if not _is_set(git, f"user.{key}"):
                git.config(
                    "--local", f"user.{key}", {"name": "demo", "email": "demo@localhost"}[key]
                )
        git.config("--local", "commit.gpgSign", "false")
        git.remote("add", "origin", remote.absolute().as_uri())
        git.add("--all")
        git.commit("--quiet", f"--message={message}")
        git.push("--quiet", "--set-upstream", "origin", BRANCH)
    except GitFailed as failure:
        raise SetupInvalid(f"git cannot make a repository in {folder}: {failure}") from None


def _is_set(git: RestrictedGit, key: str) -> bool:
    try:
        return bool(git.config("--get", key))
    except GitFailed:
        return False
