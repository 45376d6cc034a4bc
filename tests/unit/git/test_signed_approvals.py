"""Approvals by signed commits: forged ones, each with its honest twin, with real git and real keys."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.operations.approvals import SignedCommitSource
from reconciler.operations.reconcile import read_source
from reconciler.planning.approval_evidence import Judged, Needed
from reconciler.planning.approval_subjects import OfFeature, OfFile
from reconciler.rollout_file import read_rollout_file
from tests.signing import Key

ONE = Needed(1, owner=False)
FILE = "version: 1\nfeatures:\n  capture:\n    percentage: 10\napprovals: {widening: 1}\n"
EARLY = "2020-01-01T00:00:00Z"


@dataclass
class World:
    """A repository without a forge, and the keys of three people."""

    folder: Path
    alice: Key
    bob: Key
    mallory: Key
    applied: str = ""

    @classmethod
    def make(cls, folder: Path) -> "World":
        alice, bob, mallory = (
            Key.make(folder, f"{name}@example.com") for name in ("alice", "bob", "mallory")
        )
        world = cls(folder / "site", alice, bob, mallory)
        world.folder.mkdir()
        world.git("init", "-q", "-b", "main")
        world.write(FILE)
        world.sign_list(world.alice.listed() + world.bob.listed())
        world.begin()
        return world

    def begin(self) -> None:
        self.applied = self.commit("Begin")

    def git(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout.strip()

    def write(self, text: str) -> None:
        (self.folder / "rollout.yaml").write_text(text)

    def sign_list(self, text: str) -> None:
        (self.folder / "allowed_signers").write_text(text)

    def commit(self, message: str = "Change", by: Key | None = None, at: str = "") -> str:
        self.git("add", "--all")
        env = {"GIT_COMMITTER_DATE": at, "GIT_AUTHOR_DATE": at} if at else {}
        options = () if by is None else by.options()
        self.git(*options, "commit", "-q", "--allow-empty", "-m", message, env=env)
        return self.git("rev-parse", "HEAD")

    def widen(self, by: Key | None, to: int = 20, **values: str) -> str:
        self.write(FILE.replace("10", str(to)))
        return self.commit("Raise", by, **values)

    def approve(self, by: Key | None, **values: str) -> str:
        return self.commit("Approve", by, **values)

    def judged(self, needed: Needed = ONE) -> Judged:
        source = read_source(read_rollout_file(self.folder / "rollout.yaml"))
        evidence = SignedCommitSource().read_evidence(
            source, self.applied, with_owners=needed.owner
        )
        return evidence.judge(OfFeature("capture"), needed)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.make(tmp_path)


def approved(world: World) -> None:
    world.widen(world.alice)
    world.approve(world.bob)


def merged_with_a_signature(world: World) -> None:
    world.git("checkout", "-q", "-b", "change")
    world.widen(world.alice)
    world.git("checkout", "-q", "main")
    world.git(*world.bob.options(), "merge", "-q", "--no-ff", "-S", "-m", "Merge", "change")


def merged_with_more(world: World) -> None:
    world.git("checkout", "-q", "-b", "change")
    world.widen(world.alice)
    world.git("checkout", "-q", "main")
    world.git("merge", "-q", "--no-ff", "--no-commit", "change")
    world.write(FILE.replace("10", "90"))
    world.commit("Merge", world.bob)


def unsigned(world: World) -> None:
    world.widen(world.alice)
    world.approve(None)


def by_an_unknown_key(world: World) -> None:
    world.widen(world.alice)
    world.approve(world.mallory)


def by_a_key_of_the_same_change(world: World) -> None:
    world.sign_list(world.alice.listed() + world.mallory.listed())
    world.widen(world.alice)
    world.approve(world.mallory)


def by_the_author(world: World) -> None:
    world.widen(world.alice)
    world.approve(world.alice)


def by_the_authors_signature_alone(world: World) -> None:
    world.widen(world.alice)


def by_another_key_of_the_author(world: World) -> None:
    world.sign_list(world.alice.listed() + world.mallory.listed(person=world.alice.person))
    world.begin()
    world.widen(world.alice)
    world.approve(world.mallory)


def of_an_unsigned_change(world: World) -> None:
    """The name in a commit proves nothing: the approver may have written the change."""
    world.widen(None)
    world.approve(world.bob)


def before_the_change(world: World) -> None:
    world.approve(world.bob)
    world.widen(world.alice)


def of_an_earlier_content(world: World) -> None:
    world.widen(world.alice)
    world.approve(world.bob)
    world.widen(world.alice, 90)


def of_a_later_content(world: World) -> None:
    world.widen(world.alice)
    world.widen(world.alice, 90)
    world.approve(world.bob)


def with_an_expired_key(world: World) -> None:
    world.sign_list(world.alice.listed() + world.bob.listed('valid-before="20210101"'))
    world.begin()
    approved(world)


def with_an_expired_key_and_an_early_date(world: World) -> None:
    world.sign_list(world.alice.listed() + world.bob.listed('valid-before="20210101"'))
    world.begin()
    world.widen(world.alice)
    world.approve(world.bob, at=EARLY)


def with_a_key_that_is_not_valid_yet(world: World) -> None:
    world.sign_list(world.alice.listed() + world.bob.listed('valid-after="20400101"'))
    world.begin()
    approved(world)


def with_a_valid_key(world: World) -> None:
    world.sign_list(world.alice.listed() + world.bob.listed('valid-before="20400101"'))
    world.begin()
    approved(world)


def with_a_key_for_other_things(world: World) -> None:
    world.sign_list(world.alice.listed() + world.bob.listed('namespaces="file"'))
    world.begin()
    approved(world)


def with_a_key_for_git(world: World) -> None:
    world.sign_list(world.alice.listed() + world.bob.listed('namespaces="git"'))
    world.begin()
    approved(world)


def without_a_list(world: World) -> None:
    (world.folder / "allowed_signers").unlink()
    world.begin()
    world.sign_list(world.alice.listed() + world.bob.listed())
    approved(world)


def with_settings_of_the_repository(world: World) -> None:
    """The clone's own settings name another list and another program."""
    listed = world.folder.parent / "forged"
    listed.write_text(world.mallory.listed(person="bob@example.com"))
    world.git("config", "gpg.ssh.allowedSignersFile", str(listed))
    world.git("config", "gpg.minTrustLevel", "undefined")
    world.widen(world.alice)
    world.approve(world.mallory)
    world.git("config", "gpg.ssh.program", "true")


def with_honest_settings(world: World) -> None:
    approved(world)
    world.git("config", "gpg.ssh.allowedSignersFile", "/dev/null")
    world.git("config", "gpg.ssh.program", "false")


def with_a_moved_signature(world: World) -> None:
    """The signature of an honest approval on a commit of another content."""
    approved(world)
    signed = world.git("cat-file", "commit", "HEAD")
    world.widen(world.alice, 90)
    tree = world.git("rev-parse", "HEAD^{tree}")
    parent = world.git("rev-parse", "HEAD")
    head, _, rest = signed.partition("\n")
    forged = f"tree {tree}\nparent {parent}\n{rest.partition(chr(10))[2]}\n"
    assert head.startswith("tree ")
    path = world.folder.parent / "commit"
    path.write_text(forged)
    world.git("reset", "-q", "--hard", world.git("hash-object", "-t", "commit", "-w", str(path)))


MATRIX: dict[str, tuple[Callable[[World], None], str, Callable[[World], None]]] = {
    "unsigned": (unsigned, "has no signature", approved),
    "unknown key": (by_an_unknown_key, "is signed by a key that is not listed", approved),
    "key of the same change": (
        by_a_key_of_the_same_change,
        "is signed by a key that is not listed",
        approved,
    ),
    "author": (by_the_author, "is signed by alice@example.com, an author", approved),
    "author alone": (by_the_authors_signature_alone, "alice@example.com is the author", approved),
    "another key of the author": (by_another_key_of_the_author, "an author", approved),
    "unsigned change": (of_an_unsigned_change, "so its author is not known", approved),
    "before the change": (
        before_the_change,
        "does not have the whole change in its history",
        approved,
    ),
    "earlier content": (
        of_an_earlier_content,
        "does not have the whole change",
        of_a_later_content,
    ),
    "evil merge": (merged_with_more, "0 of 1 approval", merged_with_a_signature),
    "expired": (with_an_expired_key, "not valid at that time", with_a_valid_key),
    "expired, with an early date": (
        with_an_expired_key_and_an_early_date,
        "is dated before the last applied commit",
        with_a_valid_key,
    ),
    "not valid yet": (with_a_key_that_is_not_valid_yet, "not valid at that time", with_a_valid_key),
    "another namespace": (with_a_key_for_other_things, "SSH signature", with_a_key_for_git),
    "no list": (without_a_list, "has no allowed_signers beside the file", approved),
    "settings of the clone": (
        with_settings_of_the_repository,
        "is signed by a key that is not listed",
        with_honest_settings,
    ),
    "moved signature": (with_a_moved_signature, "has no valid SSH signature", approved),
}


@pytest.mark.parametrize("name", MATRIX)
def test_a_forged_signature_is_refused_with_what_is_missing(name: str, world: World) -> None:
    forged, why, _ = MATRIX[name]

    forged(world)

    assert why in (world.judged().missing or "nothing is missing")


@pytest.mark.parametrize("honest", dict.fromkeys(each[2] for each in MATRIX.values()))
def test_an_honest_signature_is_let_through(honest: Callable[[World], None], world: World) -> None:
    honest(world)

    judged = world.judged()

    assert judged.missing is None
    assert [each.name for each in judged.approvers] == ["bob@example.com"]


def test_a_change_of_the_list_needs_the_approvals_too(world: World) -> None:
    world.sign_list(world.alice.listed() + world.mallory.listed())
    world.commit("Let mallory in", world.alice)

    def judge() -> str | None:
        found = read_source(read_rollout_file(world.folder / "rollout.yaml"))
        evidence = SignedCommitSource().read_evidence(found, world.applied, with_owners=False)
        return evidence.judge(OfFile("allowed_signers"), ONE).missing

    assert "0 of 1 approval" in (judge() or "")
    world.approve(world.bob)
    assert judge() is None


def test_an_email_address_of_codeowners_is_a_signers_name(world: World) -> None:
    (world.folder / "CODEOWNERS").write_text("* bob@example.com @acme/rollout\n")
    world.begin()
    approved(world)
    assert world.judged(Needed(1, owner=True)).missing is None
    (world.folder / "CODEOWNERS").write_text("* carol@example.com @acme/rollout\n")
    world.write(FILE)
    world.begin()
    approved(world)

    found = world.judged(Needed(1, owner=True)).missing

    assert "code owner is missing (carol@example.com, @acme/rollout)" in (found or "")
    assert "@acme/rollout cannot be decided: a signature shows no teams" in (found or "")
