"""`reconcile github promote` while people merge, decline, edit and force-push."""

from typing import Any

import pytest

from tests.github.server import FakeGitHub
from tests.site import Site

BRANCH = "rollout/promote-capture-25"
FILE = """\
version: 1
features:
  capture:
    percentage: 10
    progression: [{percentage: 25, soak: 1d}, {percentage: 100, soak: 1d}]
"""


@pytest.fixture
def promoted(site: Site, hub: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site with a pull request for its next stage."""
    for name, value in hub.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    site.write(FILE)
    site.commit("Declare the stages")
    site.push()
    assert site.reconcile("--yes").exit_code == 0
    promote(site)
    site.git("fetch", "--quiet", "origin")
    return site


def promote(site: Site) -> str:
    done = site.reconcile("github", "promote")
    assert done.exit_code == 0, done
    return done.stdout


def only_pull(hub: FakeGitHub) -> dict[str, Any]:
    (pull,) = hub.pulls.values()
    return pull


def test_a_declined_promotion_is_not_pushed_again(promoted: Site, hub: FakeGitHub) -> None:
    only_pull(hub)["state"] = "closed"
    promoted.git("push", "--quiet", "origin", f":{BRANCH}")

    assert promote(promoted).startswith("pull request declined; not opened again: https://")

    assert promoted.git("ls-remote", "origin", f"refs/heads/{BRANCH}") == ""
    assert len(hub.pulls) == 1


def test_a_merged_promotion_that_a_force_push_removed_is_proposed_again(
    promoted: Site, hub: FakeGitHub
) -> None:
    before = promoted.git("rev-parse", "HEAD")
    promoted.git("merge", "--quiet", "--ff-only", f"origin/{BRANCH}")
    promoted.push()
    only_pull(hub).update(state="closed", merged_at="2026-11-23T12:00:00Z")
    promoted.git("reset", "--quiet", "--hard", before)
    promoted.git("push", "--quiet", "--force", "origin", "main")

    promote(promoted)

    assert [pull["state"] for pull in hub.pulls.values()] == ["closed", "open"]


def test_a_promotion_branch_that_a_person_edited_is_kept(promoted: Site, hub: FakeGitHub) -> None:
    promoted.git("checkout", "--quiet", BRANCH)
    edited = promoted.commit("Add a note")
    promoted.git("push", "--quiet", "origin", "HEAD")
    promoted.git("checkout", "--quiet", "main")

    promote(promoted)

    assert promoted.git("ls-remote", "origin", f"refs/heads/{BRANCH}").split()[0] == edited
