"""`reconcile watch --follow`: new commits of a branch are fetched and applied, as by one-shot runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.site import Site
from tests.watching import Start, fail_jobs, take_half_in, watching
from tests.writing_back import remote_git


@pytest.fixture
def rollout(site: Site) -> Site:
    return take_half_in(site)


@pytest.fixture
def start(rollout: Site) -> Iterator[Start]:
    with watching(rollout) as start:
        yield start


@pytest.fixture
def elsewhere(rollout: Site, tmp_path: Path) -> Site:
    """Another person's clone, used to push merges."""
    rollout.git("clone", "--quiet", rollout.remote.as_uri(), str(tmp_path / "elsewhere"))
    return Site(tmp_path / "elsewhere", rollout.remote, rollout.database)


def merge(elsewhere: Site, old: str, new: str, message: str) -> str:
    elsewhere.git("pull", "--quiet", "--ff-only")
    elsewhere.replace(old, new)
    commit = elsewhere.commit(message)
    elsewhere.push()
    return commit


def percentage(site: Site, feature: str = "capture") -> int:
    value: int = site.database.value(
        "SELECT rollout_percentage::int FROM rollout_configuration WHERE feature_name = %(name)s",
        name=feature,
    )
    return value


def test_a_merge_is_applied_and_the_checkout_stays_as_it_is(
    rollout: Site, start: Start, elsewhere: Site
) -> None:
    rollout.write("# what somebody is writing\n")
    refs, head = rollout.git("for-each-ref"), rollout.git("rev-parse", "HEAD")
    status = rollout.git("status", "--porcelain")
    watcher = start("--follow", "origin/main", "--listen", "127.0.0.1:0")
    watcher.tells("applied", commit=head, changes=0)

    commit = merge(
        elsewhere, "  capture:\n    percentage: 50", "  capture:\n    percentage: 60", "Go on"
    )

    told = watcher.tells("applied", commit=commit)
    assert (told["changes"], told["generation"], percentage(rollout)) == (1, 2, 60)
    (row,) = rollout.database.rows(
        "SELECT commit, file FROM rollout_generation ORDER BY generation DESC LIMIT 1"
    )
    assert row == {"commit": commit, "file": "rollout.yaml"}
    reason = "SELECT reason FROM rollout_history ORDER BY position DESC LIMIT 1"
    assert rollout.database.value(reason) == "Go on"
    watcher.ticks_on(5)
    assert len(watcher.events("applied")) == 2
    assert (refs, head) == (rollout.git("for-each-ref"), rollout.git("rev-parse", "HEAD"))
    assert rollout.git("status", "--porcelain") == status
    # Its own commit comes back and changes nothing.
    fail_jobs(rollout, "export")
    carried = watcher.tells("write_back", feature="export", outcome="written")
    assert watcher.tells("applied", commit=carried["commit"])["changes"] == 0
    assert percentage(rollout, "export") == 0
    assert not watcher.events("failed")


@pytest.mark.parametrize("guards", ["{max_increase: 60}", "{max_increase: 1}"])
def test_without_write_back_an_applied_or_refused_commit_writes_nothing(
    rollout: Site, start: Start, elsewhere: Site, guards: str
) -> None:
    watcher = start("--follow", "origin/main", "--listen", "127.0.0.1:0", "--no-write-back")
    fail_jobs(rollout, "export")
    watcher.tells("rolled_back", feature="export")
    commit = merge(
        elsewhere,
        "  capture:\n    percentage: 50\n    guards: {max_increase: 60}",
        f"  capture:\n    percentage: 60\n    guards: {guards}",
        "Go on",
    )

    watcher.tells("applied" if "60" in guards else "not_applied", commit=commit)
    watcher.ticks_on(3)

    assert remote_git(rollout.remote, "rev-parse", "refs/heads/main").strip() == commit
    assert not watcher.events("write_back")


def test_a_refused_commit_is_logged_once_and_applied_later(
    rollout: Site, start: Start, elsewhere: Site
) -> None:
    watcher = start("--follow", "origin/main", "--listen", "127.0.0.1:0")
    watcher.tells("applied")
    guarded = merge(
        elsewhere,
        "    percentage: 50\n    guards: {max_increase: 60}\n    health: {min_jobs: 4, max_error_rate: 25}\n  export",
        "    percentage: 90\n    guards: {max_increase: 10}\n    health: {min_jobs: 4, max_error_rate: 25}\n  export",
        "Too fast",
    )

    told = watcher.tells("not_applied", commit=guarded)
    watcher.ticks_on(15)

    assert "40 points at once, at most 10 are allowed (max-increase)" in told["message"]
    assert len(watcher.events("not_applied")) == 1
    assert percentage(rollout) == 50
    invalid = merge(elsewhere, "percentage: 90", "percentage: 900", "A slip")
    assert "line 4" in watcher.tells("not_applied", commit=invalid)["message"]
    allowed = merge(
        elsewhere, "percentage: 900", "percentage: 90", "Go\n\nRollout-Allow: max-increase"
    )
    watcher.tells("applied", commit=allowed)
    assert percentage(rollout) == 90


def test_a_commit_held_by_drift_is_applied_once_the_drift_is_gone(
    rollout: Site, start: Start, elsewhere: Site
) -> None:
    rollout.database.execute(
        "UPDATE rollout_configuration SET excluded_repositories = '{a/b}' WHERE feature_name = 'export'"
    )
    watcher = start("--follow", "origin/main")
    commit = merge(
        elsewhere, "  capture:\n    percentage: 50", "  capture:\n    percentage: 60", "Go on"
    )
    told = watcher.tells("not_applied", commit=commit)
    assert "export: its live state was narrowed by hand" in told["message"]
    assert percentage(rollout) == 50

    rollout.database.execute("UPDATE rollout_configuration SET excluded_repositories = '{}'")

    watcher.tells("applied", commit=commit)
    assert percentage(rollout) == 60
    assert len(watcher.events("not_applied", commit=commit)) == 1


def test_an_older_branch_is_skipped_and_a_rewritten_one_is_refused(
    rollout: Site, start: Start, elsewhere: Site
) -> None:
    first = rollout.git("rev-parse", "HEAD")
    watcher = start("--follow", "origin/main", "--listen", "127.0.0.1:0")
    commit = merge(
        elsewhere, "  capture:\n    percentage: 50", "  capture:\n    percentage: 60", "Go on"
    )
    watcher.tells("applied", commit=commit)
    rollout.git("fetch", "--quiet", "origin")

    remote_git(rollout.remote, "update-ref", "refs/heads/main", first)
    watcher.ticks_on(10)
    assert (len(watcher.events("not_applied")), percentage(rollout)) == (0, 60)
    elsewhere.git("reset", "--quiet", "--hard", first)
    elsewhere.replace("  capture:\n    percentage: 50", "  capture:\n    percentage: 55")
    rewritten = elsewhere.commit("Another history")
    elsewhere.push()

    assert "history was rewritten" in watcher.tells("not_applied", commit=rewritten)["message"]
    assert percentage(rollout) == 60
    eventually(lambda: watcher.get("/healthz")[0] == 200)


def test_a_block_that_a_forced_push_lost_is_written_again(
    rollout: Site, start: Start, elsewhere: Site
) -> None:
    watcher = start("--follow", "origin/main", "--listen", "127.0.0.1:0")
    fail_jobs(rollout, "export")
    written = watcher.tells("write_back", feature="export", outcome="written")
    watcher.tells("applied", commit=written["commit"])
    elsewhere.replace("  capture:\n    percentage: 50", "  capture:\n    percentage: 60")
    elsewhere.commit("Rewrite it")

    elsewhere.git("push", "--quiet", "--force", "origin", "HEAD:main")

    eventually(lambda: written["override"] in rollout.remote_text())
    assert "percentage: 60" in rollout.remote_text()
