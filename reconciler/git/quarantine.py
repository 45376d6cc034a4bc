"""Work on a remote's branch beside a checkout: new objects go to a separate, temporary store.

Commands run in the people's repository, so that its credentials and proxies apply, but write
nothing into it. Objects are stored elsewhere, the remote has a name that only these commands know,
and no ref, index or configuration is changed. A killed run leaves only a temporary folder with
objects.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import uuid4

from reconciler.git.checkout import CannotWriteBack, Checkout, Remote
from reconciler.git.command import GitFailed, RestrictedGit
from reconciler.git.refusal import refusal_reason
from reconciler.git.repository import Repository

NETWORK_TIMEOUT_SECONDS: Final = 30
"""A command that contacts a remote is ended after this time."""

_SAFER: Final = {
    "gc.auto": "0",
    "maintenance.auto": "false",
    "fetch.writeCommitGraph": "false",
    "push.followTags": "false",
    "push.gpgSign": "false",
    # Empty: no options. One of a person could make the host skip the workflow that applies the commit.
    "push.pushOption": "",
    "log.follow": "false",
    "log.showSignature": "false",
}
_DECLINED: Final = re.compile(
    r"\[remote rejected\].*(declined|protected|prohibited|denied|checked out)", re.IGNORECASE
)
_FORBIDDEN: Final = re.compile(r"returned error: 403|HTTP 403", re.IGNORECASE)


class PushOutcome(Enum):
    """The outcome of a push, as far as its answer shows it."""

    UNCERTAIN = auto()
    """It was accepted, it lost a race, or its answer was lost: a fresh fetch of the branch shows which."""
    DECLINED = auto()
    """The remote accepts no pushes to this branch."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push's outcome, and the answer of git or the remote in a line."""

    outcome: PushOutcome
    answer: str


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A checkout's repository and one of its remotes, with a separate store of objects."""

    checkout: Checkout
    remote: Remote
    name: str
    """The remote's name here; another one than in the repository, so that no tracking branch moves."""
    repository: Repository
    """The same repository; its commands write new objects to the separate store."""
    objects: Path
    """The separate store, which refers to the repository's own."""

    @property
    def git(self) -> RestrictedGit:
        """Git's commands, which write new objects to the separate store."""
        return self.repository.git

    def default_branch(self) -> str:
        """Return the name of the remote's default branch.

        The HEAD of a bare repository made by hand may name a missing branch: then it is the branch
        with the name of the checked-out one.

        Raises:
            CannotWriteBack: the remote does not answer, or has no such branch.
        """
        for line in self._ask("ls-remote", "--symref", self.name, "HEAD").splitlines():
            ref, _, of = line.partition("\t")
            if of == "HEAD" and ref.startswith("ref: refs/heads/"):
                return ref.removeprefix("ref: refs/heads/")
        branch = self.checkout.branch
        if branch is not None and branch in self.look([branch]):
            return branch
        raise CannotWriteBack(f"the remote {self.remote.name} has no default branch; name one")

    def look(self, branches: Iterable[str]) -> Mapping[str, str]:
        """Return the commits of those of these branches that the remote has.

        Raises:
            CannotWriteBack: the remote does not answer.
        """
        refs = {f"refs/heads/{branch}": branch for branch in branches}
        listed = self._ask("ls-remote", "--quiet", self.name, *refs)
        found = (line.partition("\t") for line in listed.splitlines())
        return {refs[ref]: commit for commit, _, ref in found if ref in refs}

    def fetch(self, branch: str) -> str:
        """Fetch a branch, and return its commit.

        Raises:
            CannotWriteBack: the remote does not answer, or has no such branch.
        """
        commit = self.look([branch]).get(branch)
        if commit is None:
            raise CannotWriteBack(f"the remote {self.remote.name} has no branch {branch}")
        if not self.repository.has_commit(commit):
            self._ask(
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--recurse-submodules=no",
                self.name,
                f"refs/heads/{branch}",
            )
        return commit

    def push(self, commit: str, branch: str) -> Pushed:
        """Push a commit to a branch, never by force; the answer does not prove the outcome."""
        try:
            self.git.push(
                "--porcelain",
                "--no-verify",
                "--recurse-submodules=no",
                self.name,
                f"{commit}:refs/heads/{branch}",
                kill_after_timeout=NETWORK_TIMEOUT_SECONDS,
            )
        except GitFailed as failure:
            answer = f"{failure.output}\n{failure.messages}"
            is_declined = _DECLINED.search(answer) or _FORBIDDEN.search(answer)
            outcome = PushOutcome.DECLINED if is_declined else PushOutcome.UNCERTAIN
            return Pushed(outcome, refusal_reason(failure))
        return Pushed(PushOutcome.UNCERTAIN, "the push was taken")

    def is_on(self, commit: str, tip: str) -> bool:
        """Return whether a commit is in the history of another."""
        try:
            return self.repository.is_ancestor(commit, tip)
        except GitFailed:
            return False

    def _ask(self, command: str, *arguments: str) -> str:
        ask = getattr(self.git, command.replace("-", "_"))
        try:
            return str(ask(*arguments, kill_after_timeout=NETWORK_TIMEOUT_SECONDS))
        except GitFailed as failure:
            raise CannotWriteBack(
                f"the remote {self.remote.name} cannot be reached: {failure}"
            ) from None


@contextmanager
def quarantine(checkout: Checkout, remote: Remote) -> Iterator[Quarantine]:
    """Yield a quarantine for a remote's branches; it is deleted afterwards.

    Raises:
        CannotWriteBack: git fails there: the repository is damaged, or the disk is full.
    """
    try:
        with TemporaryDirectory(prefix="rollout-write-back-") as temporary:
            yield _quarantine_in(Path(temporary), checkout, remote)
    except (GitFailed, OSError) as failure:
        raise CannotWriteBack(f"git cannot work beside {checkout.file.parent}: {failure}") from None


def _quarantine_in(folder: Path, checkout: Checkout, remote: Remote) -> Quarantine:
    objects = folder / "objects"
    (objects / "info").mkdir(parents=True)
    (objects / "info" / "alternates").write_text(f"{checkout.objects}\n", encoding="utf-8")
    name = f"rollout-{uuid4().hex}"
    settings = (
        *_SAFER.items(),
        *((f"remote.{name}.{setting}", value) for setting, value in remote.settings),
        (f"remote.{name}.followRemoteHEAD", "never"),
    )
    repository = Repository.around(checkout.file)
    repository.git.update_environment(
        GIT_OBJECT_DIRECTORY=str(objects), **_as_environment(settings)
    )
    return Quarantine(checkout, remote, name, repository, objects)


def _as_environment(settings: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Return settings as variables for git: every user could read arguments."""
    listed = list(settings)
    variables = {"GIT_CONFIG_COUNT": str(len(listed))}
    for number, (key, value) in enumerate(listed):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
