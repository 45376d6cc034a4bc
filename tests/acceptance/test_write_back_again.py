"""Write-back after people moved, lost or deleted its block: git gets the override in force again."""

import json

import pytest

from reconciler.operations.write_back import Outcome
from tests.merges import commit_percentage
from tests.overrides import FEATURE, limit, resume
from tests.site import Site
from tests.writing_back import apply_file, block, carry, commits, outcomes, remote_git

DECLINES_MAIN = """\
#!/bin/sh
while read old new ref; do
    if [ "$ref" = refs/heads/main ]; then echo "this branch is protected" >&2; exit 1; fi
done
"""


@pytest.fixture
def applied(site: Site) -> Site:
    """A site whose first file is applied."""
    apply_file(site)
    return site


@pytest.fixture
def protected(applied: Site) -> Site:
    """A site whose remote declines pushes to main."""
    hook = applied.remote / "hooks" / "pre-receive"
    hook.write_text(DECLINES_MAIN)
    hook.chmod(0o755)
    return applied


def merge_by_hand(site: Site) -> None:
    """Bring the checkout's commit to the protected main, as a merge on the hosting service does."""
    site.git("push", "--quiet", "origin", "HEAD:refs/heads/merged")
    remote_git(site.remote, "update-ref", "refs/heads/main", "refs/heads/merged")
    remote_git(site.remote, "update-ref", "-d", "refs/heads/merged")


def is_in_git(site: Site) -> bool:
    status = json.loads(site.reconcile("status", "--format", "json").stdout)
    return bool(status["features"][0]["override"]["in_git"])


def test_a_block_lost_by_a_forced_push_is_written_again(applied: Site) -> None:
    override = limit(applied.database)
    carry(applied)
    assert is_in_git(applied)
    applied.git("push", "--quiet", "--force", "origin", "HEAD:main")

    apply_file(applied)
    was_in_git = is_in_git(applied)
    report = carry(applied)

    found = block(applied)
    assert not was_in_git
    assert outcomes(report) == ["written"]
    assert found is not None
    assert found.id == override
    assert is_in_git(applied)


def test_a_lost_block_is_found_without_an_apply(applied: Site) -> None:
    limit(applied.database)
    carry(applied)
    applied.git("push", "--quiet", "--force", "origin", "HEAD:main")
    applied.remote.rename(applied.remote.with_name("away.git"))
    away = applied.reconcile("write-back")
    applied.remote.with_name("away.git").rename(applied.remote)

    report = carry(applied)

    assert away.stdout == "no override is known to be missing in git, but git was not read\n"
    assert "cannot be reached" in away.stderr
    assert "not in git yet" not in away.stderr
    assert outcomes(report) == ["written"]
    assert outcomes(carry(applied)) == []


def test_a_lost_block_that_cannot_be_written_shows_in_the_status(protected: Site) -> None:
    limit(protected.database)
    hook = protected.remote / "hooks" / "pre-receive"
    hook.chmod(0o644)
    carry(protected)
    protected.git("push", "--quiet", "--force", "origin", "HEAD:main")
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    report = carry(protected)

    assert outcomes(report) == ["pending"]
    assert not is_in_git(protected)


def test_a_block_whose_branch_was_deleted_is_written_to_the_new_one(applied: Site) -> None:
    limit(applied.database)
    carry(applied)
    remote_git(applied.remote, "update-ref", "-d", "refs/heads/main")
    gone = carry(applied)
    applied.push()

    report = carry(applied)

    assert "has no branch main" in str(gone.problem) or "no default branch" in str(gone.problem)
    assert outcomes(report) == ["written"]
    assert block(applied) is not None


def test_a_block_lost_in_a_merge_and_put_back_stays_in_force(applied: Site) -> None:
    override = limit(applied.database)
    carry(applied)
    commit_percentage(applied, 8)
    applied.git("fetch", "--quiet")
    applied.git("merge", "--quiet", "--strategy=ours", "--message=Merge", "origin/main")
    lost = applied.file.read_text()
    theirs = applied.git("show", "HEAD^2:rollout.yaml")
    applied.write(lost + theirs[theirs.index("    override:") :] + "\n")
    applied.commit("Put the block back")
    applied.push()

    apply_file(applied)
    report = carry(applied)

    found = block(applied)
    assert "override" not in lost
    assert found is not None
    assert found.id == override
    assert outcomes(report) == []
    assert applied.database.value("SELECT state FROM rollout_override") == "on"
    assert "resumed" not in [
        each["action"] for each in applied.database.rows("SELECT action FROM rollout_history")
    ]


@pytest.mark.parametrize("folder", ["ops", "a/deep/one"])
def test_a_block_removed_while_the_file_is_moved_stays_removed(applied: Site, folder: str) -> None:
    before = applied.remote_text()
    limit(applied.database)
    carry(applied)
    applied.git("pull", "--quiet")
    apply_file(applied)
    (applied.folder / folder).mkdir(parents=True)
    applied.git("mv", "rollout.yaml", f"{folder}/rollout.yaml")
    (applied.folder / folder / "rollout.yaml").write_text(before)
    applied.commit("Move the file, and resume")
    applied.push()
    moved = ["--file", f"{folder}/rollout.yaml"]

    left_alone = applied.reconcile("write-back", *moved)
    done = applied.reconcile(*moved)

    assert left_alone.stdout == "nothing to write back: git has every override\n"
    assert done.exit_code == 0, done.stderr
    assert applied.database.value("SELECT state FROM rollout_override") == "done"
    assert (
        applied.database.rows("SELECT reason FROM rollout_history WHERE action = 'resumed'") != []
    )
    assert remote_git(applied.remote, "show", f"main:{folder}/rollout.yaml") == before.strip("\n")


def test_a_block_that_moves_with_its_file_stays_in_force(applied: Site) -> None:
    limit(applied.database)
    carry(applied)
    applied.git("pull", "--quiet")
    for folder in ("ops", "deploy"):
        (applied.folder / folder).mkdir()
    applied.git("mv", "rollout.yaml", "ops/rollout.yaml")
    applied.commit("Move it")
    applied.git("mv", "ops/rollout.yaml", "deploy/rollout.yml")
    applied.commit("Move it again")
    applied.push()

    done = applied.reconcile("--file", "deploy/rollout.yml")

    assert done.exit_code == 0, done.stderr
    assert applied.database.value("SELECT state FROM rollout_override") == "on"
    resume(applied.database)

    report = carry(applied)

    assert outcomes(report) == ["removed"], report
    assert "override" not in remote_git(applied.remote, "show", "main:deploy/rollout.yml")


def test_a_stop_from_before_a_move_goes_into_the_moved_file(applied: Site) -> None:
    older = applied.git("rev-parse", "HEAD")
    (applied.folder / "ops").mkdir()
    applied.git("mv", "rollout.yaml", "ops/rollout.yaml")
    applied.commit("Move it")
    applied.push()
    applied.git("checkout", "--quiet", older)

    stopped = applied.reconcile("stop", "--reason", "boom")

    assert stopped.exit_code == 0, stopped.stderr
    assert "emergency_stop: true" in remote_git(applied.remote, "show", "main:ops/rollout.yaml")


def test_a_proposal_whose_branch_is_deleted_is_proposed_again(protected: Site) -> None:
    override = limit(protected.database)
    branch = f"rollout/override-{override}"
    carry(protected)
    remote_git(protected.remote, "update-ref", "-d", f"refs/heads/{branch}")
    newest = commit_percentage(protected, 12)
    merge_by_hand(protected)
    proposed: list[str] = []

    report = carry(protected, propose=lambda name, *_: proposed.append(name))

    assert outcomes(report) == ["proposed"]
    assert proposed == [branch]
    assert remote_git(protected.remote, "rev-parse", f"{branch}~1") == newest
    found = block(protected, branch=branch)
    assert found is not None
    assert found.id == override


def test_a_deleted_proposal_is_written_where_pushes_are_taken_now(protected: Site) -> None:
    override = limit(protected.database)
    carry(protected)
    remote_git(protected.remote, "update-ref", "-d", f"refs/heads/rollout/override-{override}")
    (protected.remote / "hooks" / "pre-receive").unlink()

    assert outcomes(carry(protected)) == ["written"]


def test_an_outdated_proposal_is_renewed_on_todays_tip(protected: Site) -> None:
    override = limit(protected.database)
    branch = f"rollout/override-{override}"
    carry(protected)
    first = remote_git(protected.remote, "rev-parse", branch)
    newest = commit_percentage(protected, 12)
    merge_by_hand(protected)

    report = carry(protected)

    renewed = remote_git(protected.remote, "rev-parse", branch)
    assert outcomes(report) == ["proposed"]
    assert remote_git(protected.remote, "show", "--no-patch", "--format=%P", renewed).split() == [
        first,
        newest,
    ]
    assert "percentage: 12" in protected.remote_text(branch)
    assert "emergency_stop: true" in protected.remote_text(branch)
    carry(protected)
    assert remote_git(protected.remote, "rev-parse", branch) == renewed


def test_an_outdated_proposal_that_cannot_be_renewed_is_pending(protected: Site) -> None:
    override = limit(protected.database)
    carry(protected)
    commit_percentage(protected, 12)
    merge_by_hand(protected)
    hook = protected.remote / "hooks" / "pre-receive"
    hook.write_text('#!/bin/sh\necho "commits must have verified signatures" >&2; exit 1\n')

    (pending,) = carry(protected).overrides

    assert pending.outcome is Outcome.PENDING
    assert f"rollout/override-{override} is outdated and takes no pushes" in (pending.why or "")
    assert "verified signatures" in (pending.why or "")


def test_a_proposal_that_people_went_on_with_is_left_to_them(protected: Site) -> None:
    override = limit(protected.database)
    branch = f"rollout/override-{override}"
    carry(protected)
    protected.git("fetch", "--quiet")
    protected.git("checkout", "--quiet", "-b", "theirs", f"origin/{branch}")
    theirs = protected.commit("Say more")
    protected.git("push", "--quiet", "origin", f"HEAD:{branch}")
    protected.git("checkout", "--quiet", "main")
    commit_percentage(protected, 12)
    merge_by_hand(protected)

    assert outcomes(carry(protected)) == ["proposed"]

    assert remote_git(protected.remote, "rev-parse", branch) == theirs


def test_a_resumed_override_is_settled_once_its_proposal_is_deleted(protected: Site) -> None:
    override = limit(protected.database)
    carry(protected)
    resume(protected.database)
    waiting = carry(protected)
    remote_git(protected.remote, "update-ref", "-d", f"refs/heads/rollout/override-{override}")

    report = carry(protected)

    assert outcomes(waiting) == ["pending"]
    assert outcomes(report) == ["settled"]
    assert outcomes(carry(protected)) == []


def test_two_features_of_which_one_is_lost_have_both_blocks_in_the_end(applied: Site) -> None:
    applied.write(
        f"version: 1\nfeatures:\n  {FEATURE}: {{percentage: 10}}\n  other: {{percentage: 10}}\n"
    )
    applied.commit("Two features")
    applied.push()
    apply_file(applied)
    limit(applied.database)
    carry(applied)
    kept = commits(applied)[0].id
    limit(applied.database, "other")
    carry(applied)
    remote_git(applied.remote, "update-ref", "refs/heads/main", kept)

    report = carry(applied)

    assert outcomes(report) == ["written"]
    assert block(applied) is not None
    assert block(applied, "other") is not None


def test_a_proposal_that_was_squashed_and_left_is_settled(protected: Site) -> None:
    override = limit(protected.database)
    carry(protected)
    protected.git("fetch", "--quiet")
    protected.git("merge", "--quiet", "--squash", f"origin/rollout/override-{override}")
    protected.commit("Stop it (#7)")
    merge_by_hand(protected)

    report = carry(protected)

    assert outcomes(report) == ["settled"]
    assert outcomes(carry(protected)) == []


def test_a_resume_after_a_squashed_proposal_removes_the_block(protected: Site) -> None:
    override = limit(protected.database)
    carry(protected)
    protected.git("fetch", "--quiet")
    protected.git("merge", "--quiet", "--squash", f"origin/rollout/override-{override}")
    protected.commit("Stop it (#7)")
    merge_by_hand(protected)
    resume(protected.database)

    report = carry(protected)

    assert outcomes(report) == ["proposed"]
    assert block(protected, branch=f"rollout/resume-{override}") is None


def take_in(site: Site, branch: str) -> None:
    """Merge a branch of the remote by hand, and apply the result."""
    site.git("fetch", "--quiet")
    site.git("merge", "--quiet", "--no-ff", "-m", "Merge it", f"origin/{branch}")
    merge_by_hand(site)
    apply_file(site)


def test_an_outdated_resume_is_renewed_on_todays_tip(protected: Site) -> None:
    override = limit(protected.database)
    carry(protected)
    take_in(protected, f"rollout/override-{override}")
    resume(protected.database)
    carry(protected)
    proposal = f"rollout/resume-{override}"
    first = remote_git(protected.remote, "rev-parse", proposal)
    protected.replace("percentage: 10", "percentage: 8")
    newest = protected.commit("Lower it")
    merge_by_hand(protected)

    report = carry(protected)

    assert outcomes(report) == ["proposed"]
    parents = remote_git(protected.remote, "show", "--no-patch", "--format=%P", proposal)
    assert parents.split() == [first, newest]
    assert "percentage: 8" in protected.remote_text(proposal)
    assert block(protected, branch=proposal) is None


def test_a_block_put_back_and_resumed_again_is_proposed_again(protected: Site) -> None:
    override = limit(protected.database)
    carry(protected)
    take_in(protected, f"rollout/override-{override}")
    with_block = protected.file.read_text()
    resume(protected.database)
    carry(protected)
    proposal = f"rollout/resume-{override}"
    take_in(protected, proposal)
    protected.write(with_block)
    protected.commit("Put it back")
    merge_by_hand(protected)
    apply_file(protected)
    resume(protected.database)

    report = carry(protected)

    assert outcomes(report) == ["proposed"]
    assert block(protected) is not None
    assert block(protected, branch=proposal) is None


def test_a_copy_of_a_resumed_block_does_not_undo_the_resume(applied: Site) -> None:
    applied.write(applied.file.read_text() + "  other:\n    percentage: 10\n")
    applied.commit("Declare another feature")
    applied.push()
    apply_file(applied)
    limit(applied.database)
    carry(applied)
    applied.git("pull", "--quiet")
    apply_file(applied)
    resume(applied.database)
    text = applied.file.read_text()
    copied = text[text.index("    override:") : text.index("  other:")]
    applied.write(text + copied)
    applied.commit("Copy the block, which no file may have")
    applied.write(text)
    applied.commit("Remove the copy")
    applied.push()

    apply_file(applied)

    assert (
        applied.database.value(
            "SELECT emergency_stop FROM rollout_configuration WHERE feature_name LIKE 'hybrid%'"
        )
        is False
    )
    assert outcomes(carry(applied)) == ["removed"]


def test_a_file_that_was_deleted_and_restored_is_under_its_stop(applied: Site) -> None:
    override = limit(applied.database)
    carry(applied)
    applied.git("pull", "--quiet")
    apply_file(applied)
    applied.git("rm", "--quiet", "rollout.yaml")
    applied.git("commit", "--quiet", "--message=Delete the file")
    applied.push()
    gone = carry(applied)
    applied.git("revert", "--no-edit", "HEAD")
    applied.push()

    apply_file(applied)

    found = block(applied)
    assert "there is no file rollout.yaml on origin/main" in str(gone.problem)
    assert found is not None
    assert found.id == override
    assert applied.database.value("SELECT state FROM rollout_override") == "on"
    assert outcomes(carry(applied)) == []


def test_a_lost_commit_that_is_merged_again_leaves_one_block(applied: Site) -> None:
    limit(applied.database)
    carry(applied)
    lost = remote_git(applied.remote, "rev-parse", "main")
    applied.git("push", "--quiet", "--force", "origin", "HEAD:main")
    commit_percentage(applied, 8)
    applied.push()
    apply_file(applied)
    written = carry(applied)
    applied.git("fetch", "--quiet", "origin", lost)
    applied.git("pull", "--quiet")
    applied.git("merge", "--quiet", "--strategy-option=ours", "--message=Merge", lost)
    applied.push()

    apply_file(applied)

    assert outcomes(written) == ["written"]
    assert applied.remote_text().count("override:") == 1
    assert applied.database.value("SELECT state FROM rollout_override") == "on"
    assert outcomes(carry(applied)) == []


def test_a_block_that_goes_with_its_renamed_feature_limits_it(applied: Site) -> None:
    override = limit(applied.database)
    carry(applied)
    applied.git("pull", "--quiet")
    apply_file(applied)
    applied.replace(f"  {FEATURE}:", "  renamed:")
    applied.commit("Rename it")
    applied.push()

    renamed = applied.reconcile("--yes", "--allow", "feature-removed")
    resumed = applied.reconcile("resume", "--feature", "renamed", "--reason", "fixed")

    assert renamed.exit_code == resumed.exit_code == 0, renamed.stderr + resumed.stderr
    assert "override     stop: " in renamed.stdout
    assert f"override {override}" in resumed.stdout
    assert block(applied, "renamed") is None
