"""Repositories as people have them, made by git."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.git.checkout import find_checkout
from reconciler.git.quarantine import Quarantine, quarantine
from tests.site import FIRST_FILE

Run = Callable[..., str]


def run_git(folder: Path, *arguments: str) -> str:
    """Return what git prints when a person runs it in a folder."""
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def make_clone(parent: Path, *, object_format: str = "sha1") -> Path:
    """Return a clone on branch `main`, whose only commit has a rollout file; `origin` has it too."""
    remote, clone = parent / "origin.git", parent / "clone"
    kind = f"--object-format={object_format}"
    run_git(parent, "init", "--quiet", "--bare", "--initial-branch=main", kind, str(remote))
    run_git(parent, "init", "--quiet", "--initial-branch=main", kind, str(clone))
    (clone / "rollout.yaml").write_text(FIRST_FILE)
    run_git(clone, "add", "--all")
    run_git(clone, "commit", "--quiet", "--message=Declare the rollout")
    run_git(clone, "remote", "add", "origin", remote.as_uri())
    run_git(clone, "push", "--quiet", "--set-upstream", "origin", "main")
    return clone


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return make_clone(tmp_path)


@pytest.fixture
def place(clone: Path) -> Iterator[Quarantine]:
    """A quarantine beside the clone, for its remote `origin`."""
    checkout = find_checkout(clone / "rollout.yaml")
    with quarantine(checkout, checkout.choose_remote("origin")) as place:
        yield place
