"""A repository on the small GitHub whose pull requests are reviewed and merged in every way."""

import subprocess
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.github.approvals import GitHubReviews
from reconciler.github.client import GitHub
from reconciler.github.transport import Transport
from reconciler.operations.reconcile import read_source
from reconciler.planning.approval_evidence import Evidence
from reconciler.rollout_file import read_rollout_file
from tests.github.reviews import Account, PullRequest
from tests.github.server import REPOSITORY, TOKEN, FakeGitHub

ALICE, BOB, CAROL, DAVE = map(Account, ("alice", "bob", "carol", "dave"))
READER = Account("eve", may_write=False)
BOT = Account("merge-bot", kind="Bot")

FILE = """\
version: 1
features:
  capture:
    strategy: percentage
    percentage: 10
  search:
    strategy: percentage
    percentage: 10
approvals: {widening: 1, over: 50, code_owners: true}
"""
OWNERS = "* @dave\n/rollout.yaml @bob @acme/rollout\n"
Edit = Callable[[str], str]


def raised(to: int = 20, feature: str = "capture") -> Edit:
    """Return the edit that raises a feature from 10 percent."""
    before = f"{feature}:\n    strategy: percentage\n    percentage: "
    return lambda text: text.replace(f"{before}10", f"{before}{to}")


@dataclass
class World:
    """People's clone, the repository on GitHub, and the commit that was applied."""

    folder: Path
    hub: FakeGitHub
    file: str = "rollout.yaml"
    applied: str = ""
    made: list[PullRequest] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, hub: FakeGitHub) -> "World":
        world = cls(folder, hub)
        hub.remote = folder / "origin.git"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(hub.remote)], check=True)
        (folder / "people").mkdir()
        world.git("init", "-q", "-b", "main")
        world.git("remote", "add", "origin", str(hub.remote))
        world.write(world.file, FILE)
        world.write(".github/CODEOWNERS", OWNERS)
        world.applied = world.commit("Begin")
        hub.merge_base = lambda base, head: world.git("merge-base", base, head)
        return world

    @property
    def path(self) -> Path:
        return self.folder / "people"

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        (self.path / path).write_text(text)

    def edit(self, edit: Edit) -> None:
        text = (self.path / self.file).read_text()
        assert edit(text) != text, "the edit changes nothing"
        self.write(self.file, edit(text))

    def commit(self, message: str = "Change the rollout") -> str:
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def propose(
        self, *edits: Edit, author: Account = ALICE, begin: str = "main", number: int | None = None
    ) -> PullRequest:
        """Push a branch with a commit for each edit, and open a pull request of it."""
        number = number or 11 + len(self.made)
        self.git("checkout", "-q", "-B", f"change-{number}", begin)
        made = PullRequest(number, "", author)
        self.made.append(made)
        self.hub.pull_requests[number] = made
        for edit in edits:
            self.push(made, edit)
        return made

    def push(self, made: PullRequest, edit: Edit, people: Iterable[str | None] = ()) -> str:
        """Push one more commit to the branch of a pull request."""
        self.git("checkout", "-q", f"change-{made.number}")
        self.edit(edit)
        made.head = self.commit()
        by = None if made.author is None else made.author.login
        made.commits.append(tuple(people) or (by, by))
        return made.head

    def merge(self, made: PullRequest, how: str = "merge", evil: Edit | None = None) -> str:
        """Merge a pull request as GitHub does; `evil` changes the file in the merge itself."""
        self.git("checkout", "-q", "main")
        before = self.git("rev-parse", "HEAD")
        match how:
            case "merge":
                self.git("merge", "-q", "--no-ff", "--no-commit", made.head)
            case "squash":
                self.git("merge", "-q", "--squash", made.head)
            case "rebase":
                # Another committer, as on GitHub: the commits are new ones.
                self.git("checkout", "-q", "-B", "rebased", made.head)
                self.git("-c", "user.name=GitHub", "rebase", "-q", "--force-rebase", "main")
                self.git("checkout", "-q", "main")
                self.git("merge", "-q", "--ff-only", "rebased")
        if evil is not None:
            self.edit(evil)
        merged = self.git("rev-parse", "HEAD") if how == "rebase" else self.commit("Merge")
        found = self.git("rev-list", f"{before}..{merged}").split()
        made.brought |= set(found)
        return merged

    def directly(self, *edits: Edit) -> str:
        """Push commits to main without a pull request."""
        self.git("checkout", "-q", "main")
        for edit in edits:
            self.edit(edit)
            self.commit()
        return self.git("rev-parse", "HEAD")

    def evidence(self, *, with_owners: bool = False) -> Evidence:
        """Return what a job reads in a fresh clone of main, which lacks other branches."""
        for made in self.made:
            self.git("push", "-q", "-f", "origin", f"{made.head}:refs/pull/{made.number}/head")
        self.git("push", "-q", "-f", "origin", "main")
        clone = self.folder / "clone"
        self.git("clone", "-q", "--single-branch", str(self.hub.remote), str(clone))
        document = read_rollout_file(clone / self.file)
        with closing(Transport(self.hub.url, TOKEN)) as transport:
            github = GitHub(self.hub.url, transport, wait=lambda _: None)
            reviews = GitHubReviews(github, f"/repos/{REPOSITORY}", "main")
            return reviews.read_evidence(
                read_source(document), self.applied, with_owners=with_owners
            )
