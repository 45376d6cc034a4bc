"""Forged approvals against the recorded GitHub, each with its honest twin: real git, and a server's answers."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.planning.approval_evidence import Needed
from reconciler.planning.approval_subjects import OfFeature, OfFile, OfRule, Subject
from tests.github.approvals import (
    ALICE,
    BOB,
    BOT,
    CAROL,
    OWNERS,
    READER,
    World,
    raised,
)
from tests.github.reviews import Account
from tests.github.server import FakeGitHub

ONE = Needed(1, owner=False)
OWNER = Needed(1, owner=True)
CAPTURE = OfFeature("capture")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with FakeGitHub().serving() as hub:
        yield World.make(tmp_path, hub)
        assert hub.wrong == []


def missing(world: World, subject: Subject = CAPTURE, needed: Needed = ONE) -> str | None:
    return world.evidence(with_owners=needed.owner).judge(subject, needed).missing


def changed(before: int, after: int) -> Callable[[str], str]:
    return lambda text: text.replace(f"percentage: {before}", f"percentage: {after}")


def without_a_review(world: World) -> None:
    world.merge(world.propose(raised()))


def by_another_person(world: World) -> None:
    made = world.propose(raised())
    made.approve(BOB)
    world.merge(made)


def by_the_author(world: World) -> None:
    made = world.propose(raised())
    made.approve(ALICE)
    world.merge(made)


def by_the_author_in_other_case(world: World) -> None:
    made = world.propose(raised())
    made.approve(Account("ALICE"))
    world.merge(made)


def before_the_last_push(world: World) -> None:
    made = world.propose(raised(15))
    made.approve(BOB, commit=made.head)
    world.push(made, lambda text: text.replace("15", "20"))
    world.merge(made)


def after_the_last_push(world: World) -> None:
    made = world.propose(raised(15))
    made.approve(BOB, commit=made.head)
    world.push(made, lambda text: text.replace("15", "20"))
    made.approve(BOB)
    world.merge(made)


def before_a_forced_push(world: World) -> None:
    made = world.propose(raised())
    made.approve(BOB, commit=made.head)
    world.git("reset", "-q", "--hard", "main")
    world.push(made, raised(99))
    world.merge(made)


def moved_to_a_forced_push(world: World) -> None:
    """GitHub names the new head in a review from before the forced push."""
    made = world.propose(raised())
    made.approve(BOB)
    made.replaced_after = 1
    world.merge(made)


def again_after_a_forced_push(world: World) -> None:
    moved_to_a_forced_push(world)
    world.made[0].approve(BOB)


def dismissed(world: World) -> None:
    made = world.propose(raised())
    made.approve(BOB, state="DISMISSED")
    world.merge(made)


def again_after_a_dismissal(world: World) -> None:
    dismissed(world)
    world.made[0].approve(BOB)


def by_a_bot(world: World) -> None:
    made = world.propose(raised())
    made.approve(BOT)
    world.merge(made)


def for_a_bots_pull_request(world: World) -> None:
    made = world.propose(raised(), author=BOT)
    made.approve(BOB)
    world.merge(made)


def by_a_committer(world: World) -> None:
    made = world.propose(raised(15))
    world.push(made, lambda text: text.replace("15", "20"), ("alice", "bob"))
    made.approve(BOB)
    world.merge(made)


def by_a_co_author(world: World) -> None:
    made = world.propose(raised(15))
    world.push(made, lambda text: text.replace("15", "20"), ("alice", "bob", "alice"))
    made.approve(BOB)
    world.merge(made)


def by_a_co_author_of_an_early_commit(world: World) -> None:
    made = world.propose(raised(15), author=ALICE)
    made.commits[0] = ("alice", "carol", "alice")
    for to in range(16, 21):
        world.push(made, changed(to - 1, to))
    made.approve(CAROL)
    world.merge(made)


def by_another_person_than_the_co_author(world: World) -> None:
    by_a_co_author(world)
    world.made[0].approve(CAROL)


def by_a_reader(world: World) -> None:
    made = world.propose(raised())
    made.approve(READER)
    world.merge(made)


def squashed(world: World) -> None:
    made = world.propose(raised(15), raised_again())
    made.approve(BOB)
    world.merge(made, "squash")


def squashed_with_more(world: World) -> None:
    made = world.propose(raised(15))
    made.approve(BOB)
    world.merge(made, "squash", evil=lambda text: text.replace("15", "90"))


def raised_again() -> Callable[[str], str]:
    return changed(15, 20)


def rebased(world: World) -> None:
    made = world.propose(raised(15), raised_again())
    world.directly(raised(30, "search"))
    made.approve(BOB)
    world.merge(made, "rebase")


def rebased_without_an_approval_of_the_head(world: World) -> None:
    made = world.propose(raised(15))
    made.approve(BOB, commit=made.head)
    world.push(made, raised_again())
    world.merge(made, "rebase")


def queued(world: World) -> None:
    first, second = world.propose(raised()), world.propose(raised(30, "search"))
    for made in (first, second):
        made.approve(BOB)
        world.merge(made, "squash")


def queued_without_the_first(world: World) -> None:
    first, second = world.propose(raised()), world.propose(raised(30, "search"))
    second.approve(BOB)
    world.merge(first, "squash")
    world.merge(second, "squash")


def merged_with_evil(world: World) -> None:
    made = world.propose(raised(15))
    made.approve(BOB)
    world.merge(made, evil=lambda text: text.replace("15", "90"))


def merged_into_a_moved_feature(world: World) -> None:
    made = world.propose(raised(30))
    made.approve(BOB)
    world.directly(lambda text: text.replace("percentage: 10", "percentage: 5", 1))
    world.git("checkout", "-q", f"change-{made.number}")
    world.git("checkout", "-q", "main")
    world.git("merge", "-q", "--no-ff", "-s", "ours", "--no-commit", made.head)
    world.edit(lambda text: text.replace("percentage: 5", "percentage: 30"))
    made.brought.add(world.commit("Merge"))


def merged_after_an_update(world: World) -> None:
    world.directly(lambda text: text.replace("percentage: 10", "percentage: 5", 1))
    made = world.propose(lambda text: text.replace("percentage: 5", "percentage: 30"))
    made.approve(BOB)
    world.merge(made)


def reverted(world: World) -> None:
    """A revert of a narrowing widens again."""
    world.directly(raised(5))
    world.git("revert", "--no-edit", "HEAD")
    world.applied = world.git("rev-parse", "HEAD^")


def reverted_in_a_pull_request(world: World) -> None:
    world.applied = world.directly(raised(5))
    made = world.propose(lambda text: text.replace("percentage: 5", "percentage: 10"))
    made.approve(BOB)
    world.merge(made)


def two_in_one_push(world: World) -> None:
    first = world.propose(raised(15))
    first.approve(BOB)
    world.merge(first)
    world.merge(world.propose(raised_again()))


def two_approved_in_one_push(world: World) -> None:
    two_in_one_push(world)
    world.made[1].approve(BOB)


def pushed_directly(world: World) -> None:
    world.directly(raised())


def pushed_directly_before_a_reviewed_one(world: World) -> None:
    """The reviewer of the second change did not see the first one in its difference."""
    world.directly(raised(15))
    made = world.propose(raised_again())
    made.approve(BOB)
    world.merge(made)


def merged_into_another_branch(world: World) -> None:
    made = world.propose(raised())
    made.base = "feature"
    made.approve(BOB)
    world.merge(made)


def of_another_repository(world: World) -> None:
    made = world.propose(raised())
    made.repository = "mallory/rollouts"
    made.approve(BOB)
    world.merge(made)


def of_an_open_pull_request(world: World) -> None:
    made = world.propose(raised())
    made.merged = False
    made.approve(BOB)
    world.merge(made)


def of_other_content(world: World) -> None:
    """A pull request that claims the commit, and whose head has another content."""
    made = world.propose(lambda text: text.replace("version: 1", "version: 1  # one"))
    made.approve(BOB)
    made.brought.add(world.directly(raised()))


def withdrawn(world: World) -> None:
    made = world.propose(raised())
    made.approve(BOB)
    made.approve(BOB, state="CHANGES_REQUESTED")
    world.merge(made)


def given_after_requested_changes(world: World) -> None:
    made = world.propose(raised())
    made.approve(BOB, state="CHANGES_REQUESTED")
    made.approve(BOB)
    made.approve(BOB, state="COMMENTED")
    world.merge(made)


def commented(world: World) -> None:
    made = world.propose(raised())
    made.approve(BOB, state="COMMENTED")
    world.merge(made)


def pending(world: World) -> None:
    made = world.propose(raised())
    made.approve(BOB, state="PENDING")
    world.merge(made)


def by_a_deleted_account(world: World) -> None:
    made = world.propose(raised())
    made.approve(None)
    world.merge(made)


def unreviewed_in_a_renamed_file(world: World) -> None:
    rename(world, approved=False)


def in_a_renamed_file(world: World) -> None:
    rename(world, approved=True)


def rename(world: World, *, approved: bool) -> None:
    made = world.propose()
    world.git("mv", "rollout.yaml", "production.yaml")
    world.file = "production.yaml"
    world.push(made, raised())
    if approved:
        made.approve(BOB)
    world.merge(made, "squash")


def from_a_fork(world: World) -> None:
    made = world.propose(raised(), author=replace(CAROL, may_write=False))
    made.approve(BOB)
    world.merge(made)


def from_a_fork_by_its_author(world: World) -> None:
    made = world.propose(raised(), author=replace(CAROL, may_write=False))
    made.approve(CAROL)
    world.merge(made)


def with_too_many_commits(world: World) -> None:
    by_another_person(world)
    world.made[0].commits *= 250


def by_another_account_with_a_similar_name(world: World) -> None:
    made = world.propose(raised())
    made.approve(Account("alice-2", may_write=False))
    world.merge(made)


MATRIX: dict[str, tuple[Callable[[World], None], str, Callable[[World], None]]] = {
    "no review": (without_a_review, "#11 at ", by_another_person),
    "self": (by_the_author, "alice is an author of the change", by_another_person),
    "self in another case": (
        by_the_author_in_other_case,
        "ALICE is an author",
        by_another_person,
    ),
    "before the last push": (before_the_last_push, "which is not the head", after_the_last_push),
    "before a forced push": (before_a_forced_push, "which is not the head", by_another_person),
    "moved to a forced push, or to another base": (
        moved_to_a_forced_push,
        "bob approved before a forced push, or before another base was chosen",
        again_after_a_forced_push,
    ),
    "dismissed": (dismissed, "bob has a dismissed review", again_after_a_dismissal),
    "a bot": (by_a_bot, "merge-bot is a bot", for_a_bots_pull_request),
    "a committer": (by_a_committer, "bob is an author", by_another_person),
    "a co-author": (
        by_a_co_author,
        "bob is an author",
        by_another_person_than_the_co_author,
    ),
    "a co-author on an early page": (
        by_a_co_author_of_an_early_commit,
        "carol is an author",
        by_another_person,
    ),
    "a reader": (by_a_reader, "eve may not write to the repository", by_another_person),
    "a similar name": (
        by_another_account_with_a_similar_name,
        "alice-2 may not write",
        by_another_person,
    ),
    "squash with more": (squashed_with_more, "has another change than #11", squashed),
    "rebase": (rebased_without_an_approval_of_the_head, "which is not the head", rebased),
    "merge queue": (queued_without_the_first, "#11 at", queued),
    "evil merge": (merged_with_evil, "has another change than #11", by_another_person),
    "a feature that moved": (
        merged_into_a_moved_feature,
        "has another change than #11",
        merged_after_an_update,
    ),
    "revert": (reverted, "without a merged pull request", reverted_in_a_pull_request),
    "two pull requests in one push": (two_in_one_push, "#12 at", two_approved_in_one_push),
    "direct push": (pushed_directly, "without a merged pull request", by_another_person),
    "direct push under a reviewed one": (
        pushed_directly_before_a_reviewed_one,
        "without a merged pull request",
        two_approved_in_one_push,
    ),
    "another branch": (
        merged_into_another_branch,
        "without a merged pull request",
        by_another_person,
    ),
    "another repository": (
        of_another_repository,
        "without a merged pull request",
        by_another_person,
    ),
    "an open pull request": (
        of_an_open_pull_request,
        "without a merged pull request",
        by_another_person,
    ),
    "other content": (of_other_content, "has another change than #11", by_another_person),
    "changes requested later": (
        withdrawn,
        "bob requested changes",
        given_after_requested_changes,
    ),
    "a comment": (commented, "bob commented only", by_another_person),
    "a pending review": (pending, "bob has not submitted the review", by_another_person),
    "a deleted account": (
        by_a_deleted_account,
        "a deleted account does not count",
        by_another_person,
    ),
    "renamed file": (unreviewed_in_a_renamed_file, "#11 at", in_a_renamed_file),
    "a fork": (from_a_fork_by_its_author, "carol is an author", from_a_fork),
    "too many commits": (with_too_many_commits, "250 commits or more", by_another_person),
}


@pytest.mark.parametrize("name", MATRIX)
def test_a_forged_approval_is_refused_with_what_is_missing(name: str, world: World) -> None:
    forged, why, _ = MATRIX[name]

    forged(world)

    assert why in (missing(world) or "nothing is missing")


@pytest.mark.parametrize("honest", dict.fromkeys(each[2] for each in MATRIX.values()))
def test_an_honest_approval_is_let_through(honest: Callable[[World], None], world: World) -> None:
    honest(world)

    assert missing(world) is None


def test_an_approval_after_the_merge_counts(world: World) -> None:
    without_a_review(world)
    world.made[0].approve(BOB)

    assert missing(world) is None


@pytest.mark.parametrize(("people", "number"), [((BOB, BOB), 1), ((BOB, CAROL), 2)])
def test_a_person_counts_once(world: World, people: tuple[Account, ...], number: int) -> None:
    made = world.propose(raised())
    made.approve(*people)
    world.merge(made)

    found = missing(world, needed=Needed(2, owner=False))

    assert found == (None if number == 2 else f"#11 at {made.head[:7]} has 1 of 2 approvals")


def test_an_approval_of_a_code_owner_may_be_needed(world: World) -> None:
    made = world.propose(raised(60))
    made.approve(CAROL)
    world.merge(made)

    assert "an approval of a code owner is missing (@bob, @acme/rollout)" in (
        missing(world, needed=OWNER) or ""
    )


def test_the_approval_of_a_code_owner_is_enough(world: World) -> None:
    made = world.propose(raised(60))
    made.approve(BOB)
    world.merge(made)

    assert missing(world, needed=OWNER) is None


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"carol"}, None),
        ({"frank"}, "an approval of a code owner is missing"),
        (None, "@acme/rollout cannot be decided: this token may not read the members"),
    ],
)
def test_a_member_of_an_owning_team_is_an_owner_as_far_as_it_can_be_read(
    world: World, members: set[str] | None, expected: str | None
) -> None:
    if members is not None:
        world.hub.teams["acme/rollout"] = members
    made = world.propose(raised(60))
    made.approve(CAROL)
    world.merge(made)

    found = missing(world, needed=OWNER)

    assert found is None if expected is None else expected in (found or "")


def test_an_owner_that_the_change_adds_is_no_owner(world: World) -> None:
    made = world.propose(raised(60))
    world.write(".github/CODEOWNERS", OWNERS.replace("@bob", "@carol"))
    made.head = world.commit("Own it")
    made.commits.append(("alice", "alice"))
    made.approve(CAROL)
    world.merge(made, "squash")

    evidence = world.evidence(with_owners=True)

    for subject in (CAPTURE, OfFile(".github/CODEOWNERS")):
        assert "code owner is missing (@bob" in (evidence.judge(subject, OWNER).missing or "")
        assert evidence.judge(subject, ONE).missing is None


def test_a_looser_rule_needs_the_approvals_of_the_old_one(world: World) -> None:
    made = world.propose(lambda text: text.replace("code_owners: true", "code_owners: false"))
    made.head = world.push(made, lambda text: text.replace("over: 50, ", ""))
    made.approve(CAROL)
    world.merge(made)

    evidence = world.evidence(with_owners=True)

    assert "code owner is missing" in (evidence.judge(OfRule(), OWNER).missing or "")
    assert evidence.judge(OfRule(), ONE).missing is None
