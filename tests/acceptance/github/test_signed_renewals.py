"""Write-back on GitHub makes signed commits with two parents, and signed commits of an executable file."""

import re
from uuid import UUID

import pytest

from tests.github.commits import SIGNER
from tests.github.server import FakeGitHub, Trouble
from tests.merges import commit_percentage
from tests.overrides import limit
from tests.site import Site
from tests.writing_back import apply_file, block, commits, remote_git

RULES = """\
#!/bin/sh
while read old new ref; do
  if test "$ref" = refs/heads/main; then echo "main is protected" >&2; exit 1; fi
  for commit in $(git rev-list "$new" --not --all); do
    if test "$(git show --no-patch --format=%cn "$commit")" != GitHub; then
      echo "Commits must have verified signatures." >&2; exit 1
    fi
  done
done
"""


@pytest.fixture
def job(site: Site, hub: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site, applied, in a job; its remote has rules for main and for signatures."""
    for name, value in hub.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    hub.remote = site.remote
    apply_file(site)
    hook = site.remote / "hooks" / "pre-receive"
    hook.write_text(RULES)
    hook.chmod(0o755)
    return site


def merge(site: Site, percentage: int) -> str:
    """Merge a percentage into main, as people do on GitHub; return the commit."""
    site.git("fetch", "--quiet", "origin", "main")
    site.git("reset", "--quiet", "--hard", "FETCH_HEAD")
    commit = commit_percentage(site, percentage)
    remote_git(site.remote, "fetch", "--quiet", str(site.folder), "HEAD:refs/heads/main")
    return commit


def outdated(job: Site) -> tuple[UUID, str, str, str]:
    """Return an override whose proposal is outdated, its branch, its commit, and main's."""
    override = limit(job.database)
    assert job.reconcile("github", "write-back").exit_code == 0
    branch = f"rollout/override-{override}"
    return override, branch, remote_git(job.remote, "rev-parse", branch), merge(job, 12)


def parents(job: Site, branch: str) -> list[str]:
    return remote_git(job.remote, "show", "--no-patch", "--format=%P", branch).split()


def requests(hub: FakeGitHub, kind: str) -> int:
    return sum(f"/git/{kind}" in path for _, path in hub.changes())


def words(text: str) -> str:
    return " ".join(text.split())


def test_an_outdated_proposal_is_renewed_by_a_signed_commit(job: Site, hub: FakeGitHub) -> None:
    override, branch, first, newest = outdated(job)

    done = job.reconcile("github", "write-back")
    again = job.reconcile("github", "write-back")

    assert (done.exit_code, again.exit_code) == (0, 0), done.stdout + done.stderr
    assert parents(job, branch) == [first, newest]
    renewed = commits(job, branch)[0]
    assert (renewed.committer, renewed.override) == (SIGNER, str(override))
    found = block(job, branch=branch)
    assert found is not None
    assert found.id == override
    assert "percentage: 12" in job.remote_text(branch)
    assert requests(hub, "refs") == 1


def test_a_resume_that_is_outdated_is_renewed_too(job: Site, hub: FakeGitHub) -> None:
    override, branch, _, _ = outdated(job)
    remote_git(job.remote, "update-ref", "refs/heads/main", branch)
    job.git("fetch", "--quiet", "origin", "main")
    job.git("reset", "--quiet", "--hard", "FETCH_HEAD")
    apply_file(job)
    job.reconcile("github", "write-back")
    job.reconcile("resume", "--yes", "--reason", "fixed", "--no-write-back")
    job.reconcile("github", "write-back")
    proposal = f"rollout/resume-{override}"
    first = remote_git(job.remote, "rev-parse", proposal)
    job.replace("percentage: 10", "percentage: 8")
    newest = job.commit("Lower it")
    remote_git(job.remote, "fetch", "--quiet", str(job.folder), "HEAD:refs/heads/main")

    done = job.reconcile("github", "write-back")

    assert done.exit_code == 0, done.stdout + done.stderr
    assert parents(job, proposal) == [first, newest]
    assert block(job, branch=proposal) is None
    assert "percentage: 8" in job.remote_text(proposal)


@pytest.mark.parametrize("kind", ["blobs", "trees", "commits", "refs"])
@pytest.mark.parametrize("after", [False, True])
def test_an_answer_that_is_lost_leaves_one_renewal(
    job: Site, hub: FakeGitHub, kind: str, *, after: bool
) -> None:
    _, branch, first, newest = outdated(job)
    method = "PATCH" if kind == "refs" else "POST"
    hub.troubles = [Trouble(method, f"/git/{kind}", after=after)]

    done = job.reconcile("github", "write-back")
    renewed = remote_git(job.remote, "rev-parse", branch)
    job.reconcile("github", "write-back")

    assert done.exit_code == 0, done.stdout + done.stderr
    assert parents(job, branch) == [first, newest]
    assert remote_git(job.remote, "rev-parse", branch) == renewed


def test_a_renewal_is_proposed_again_if_its_branch_vanishes(job: Site, hub: FakeGitHub) -> None:
    override, branch, first, _ = outdated(job)
    hook = job.remote / "hooks" / "pre-receive"
    # The branch is deleted between GitHub's check of its place and the move.
    hook.write_text(
        f"#!/bin/sh\nenv -u GIT_QUARANTINE_PATH git update-ref -d refs/heads/{branch}\nexit 1\n"
    )

    done = job.reconcile("github", "write-back")
    hook.write_text(RULES)
    job.reconcile("github", "write-back")

    assert done.exit_code == 0, done.stdout + done.stderr
    found = block(job, branch=branch)
    assert found is not None
    assert found.id == override
    assert first not in remote_git(job.remote, "rev-list", branch).split()


def test_a_commit_that_people_push_meanwhile_is_kept(job: Site, hub: FakeGitHub) -> None:
    _, branch, first, _ = outdated(job)
    tree = remote_git(job.remote, "rev-parse", f"{first}^{{tree}}")
    theirs = remote_git(
        job.remote,
        "-c",
        "user.name=Ada",
        "-c",
        "user.email=a@b",
        "commit-tree",
        tree,
        "-p",
        first,
        "-m",
        "Mine",
    )
    hook = job.remote / "hooks" / "pre-receive"
    hook.write_text(
        f"#!/bin/sh\nenv -u GIT_QUARANTINE_PATH git update-ref refs/heads/{branch} {theirs}\nexit 1\n"
    )

    job.reconcile("github", "write-back")

    assert remote_git(job.remote, "rev-parse", branch) == theirs
    hook.write_text(RULES)
    job.reconcile("github", "write-back")
    assert remote_git(job.remote, "rev-parse", branch) == theirs


def test_the_token_of_a_person_gets_no_signature_and_the_reason(job: Site, hub: FakeGitHub) -> None:
    override, branch, first, _ = outdated(job)
    hub.account = {"login": "ada", "type": "User"}

    done = job.reconcile("github", "write-back")

    text = words(done.stdout + done.stderr)
    assert remote_git(job.remote, "rev-parse", branch) == first
    assert f"rollout/override-{override} is outdated and takes no pushes" in text
    assert "Commits must have verified signatures." in text
    assert "did not sign the commit (unsigned): use the token of the job or of a GitHub App" in text


def test_a_server_that_does_not_answer_leaves_the_proposal_pending(
    job: Site, hub: FakeGitHub
) -> None:
    _, branch, first, newest = outdated(job)
    hub.troubles = [Trouble("PATCH", "/git/refs", 502) for _ in range(5)]

    done = job.reconcile("github", "write-back")
    left = remote_git(job.remote, "rev-parse", branch)
    job.reconcile("github", "write-back")

    assert "the push did not come through: GitHub answers PATCH" in words(done.stdout)
    assert left == first
    assert parents(job, branch) == [first, newest]


def test_an_executable_file_keeps_its_mode_in_a_signed_commit(job: Site, hub: FakeGitHub) -> None:
    job.file.chmod(0o755)
    job.commit("Make it executable")
    remote_git(job.remote, "fetch", "--quiet", str(job.folder), "HEAD:refs/heads/main")
    (job.remote / "hooks" / "pre-receive").write_text(
        RULES.replace('"$ref" = refs/heads/main', "-z x")
    )
    job.write(
        "version: 1\nfeatures:\n  one: {percentage: 10}\n"
        "  hybrid_progressive_capture: {percentage: 10}\n"
    )
    job.commit("Two features")
    remote_git(job.remote, "fetch", "--quiet", str(job.folder), "HEAD:refs/heads/main")
    apply_file(job)
    for feature in ("one", "hybrid_progressive_capture"):
        limit(job.database, feature)

    done = job.reconcile("github", "write-back")

    assert done.exit_code == 0, done.stdout + done.stderr
    assert remote_git(job.remote, "ls-tree", "main", "rollout.yaml").startswith("100755")
    assert [each.committer for each in commits(job)[:2]] == [SIGNER, SIGNER]
    assert requests(hub, "refs") == 1


def test_a_file_in_a_folder_is_renewed_beside_its_neighbours(job: Site, hub: FakeGitHub) -> None:
    override = limit(job.database)
    job.reconcile("github", "write-back")
    branch = f"rollout/override-{override}"
    (job.folder / "docs").mkdir()
    (job.folder / "docs" / "other.txt").write_text("other")
    newest = merge(job, 12)

    job.reconcile("github", "write-back")

    changed = remote_git(job.remote, "diff", "--name-only", newest, branch)
    assert changed == "rollout.yaml"


def test_what_goes_to_github_names_no_author(job: Site, hub: FakeGitHub) -> None:
    outdated(job)

    job.reconcile("github", "write-back")

    (made,) = (each for each in hub.asked if re.search("/git/commits$", each.path))
    assert made.body.keys() == {"message", "tree", "parents"}
