"""The safeguard from start to end: a failing rollout is rolled back, written back, fixed and resumed."""

import json
from pathlib import Path
from typing import Any

from reconciler.rollout_file.editing import without_override
from tests.eventually import eventually
from tests.site import Site
from tests.watching import FILE, actions, fail_jobs, watching
from tests.writing_back import block, commits


def rows(site: Site, table: str) -> list[dict[str, Any]]:
    return site.database.rows(f"SELECT * FROM {table}")


def eligible(site: Site) -> int:
    count: int = site.database.value("SELECT count(*) FROM eligible_repositories('capture')")
    return count


def test_a_failing_rollout_is_rolled_back_fixed_and_resumed(  # noqa: PLR0915 - a whole story
    site: Site, tmp_path: Path
) -> None:
    # Half of the repositories are eligible.
    (site.folder / "r.csv").write_text(
        "full_name\n" + "".join(f"acme/tool-{number}\n" for number in range(20))
    )
    site.reconcile("repositories", "load", "r.csv")
    site.write(FILE)
    site.commit("Take half in")
    site.push()
    assert site.reconcile().exit_code == 0
    half = eligible(site)
    assert 0 < half < 20

    with watching(site) as start:
        watcher = start("--listen", "127.0.0.1:0")
        watcher.tells("active")

        # Jobs start to fail: the feature is rolled back automatically.
        fail_jobs(site, jobs=6, succeeded=True)
        watcher.ticks_on()
        assert actions(site) == []
        fail_jobs(site, jobs=4)
        told = watcher.tells("rolled_back", feature="capture")
        assert eligible(site) == 0

        # `main` contains the override with its reason.
        carried = watcher.tells("write_back", feature="capture", outcome="written")
        newest = commits(site)[0]
        assert (newest.id, newest.override) == (carried["commit"], told["override"])
        assert newest.message.splitlines()[0] == (
            "Hold to 0 percent capture: error rate 40.00% over 25% (4 of 10 jobs in 24h)"
        )
        override = block(site, "capture")
        assert override is not None
        assert override.reason == "error rate 40.00% over 25% (4 of 10 jobs in 24h)"

        # The apply that this commit triggers changes nothing.
        site.git("pull", "--quiet", "--ff-only")
        generations, history = rows(site, "rollout_generation"), rows(site, "rollout_history")
        applied = site.reconcile()
        assert applied.exit_code == 0, applied.stderr
        assert "Nothing to change: the live state matches the file" in applied.stdout
        assert rows(site, "rollout_generation") == generations
        assert rows(site, "rollout_history") == history

        # Every check of the rollback is ok, once jobs ran on the fallback.
        fail_jobs(site, jobs=2, succeeded=True, processor="inngest")
        verified = site.reconcile("verify", "--format", "json")
        (feature,) = json.loads(verified.stdout)["features"]
        assert {each["name"]: each["status"] for each in feature["checks"]} == dict.fromkeys(
            ("configuration", "eligibility", "jobs", "history", "git"), "ok"
        )
        assert feature["seconds"] > 0
        assert feature["override"]["id"] == told["override"]

        # People fix the cause and merge the removal of the block; the rollout resumes.
        site.git("clone", "--quiet", site.remote.as_uri(), str(tmp_path / "elsewhere"))
        elsewhere = Site(tmp_path / "elsewhere", site.remote, site.database)
        elsewhere.git("checkout", "--quiet", "-b", "mended")
        elsewhere.file.write_bytes(without_override(elsewhere.file.read_bytes(), "capture"))
        elsewhere.commit("Resume capture: jobs no longer time out")
        elsewhere.git("checkout", "--quiet", "main")
        elsewhere.git("merge", "--quiet", "--no-ff", "--message", "Merge mended", "mended")
        elsewhere.push()
        assert elsewhere.remote_text() == FILE
        site.git("pull", "--quiet", "--ff-only")
        resumed = site.reconcile()
        assert resumed.exit_code == 0, resumed.stderr
        assert eligible(site) == half
        assert actions(site)[:2] == ["auto_rollback", "resumed"]

        # The old failures do not cause another rollback, and silence alone does not hide them.
        watcher.ticks_on(5)
        assert watcher.metric('rollout_verdict{feature="capture",verdict="inconclusive"}') == 1
        fail_jobs(site, jobs=4, succeeded=True)
        eventually(lambda: watcher.metric('rollout_verdict{feature="capture",verdict="pass"}') == 1)
        watcher.ticks_on(5)
        assert len(watcher.events("rolled_back")) == 1
        assert actions(site).count("auto_rollback") == 1
        assert eligible(site) == half
        assert block(site, "capture") is None
        assert watcher.metric("rollout_pending_write_back") == 0
        assert watcher.end() == 0
        assert not watcher.events("failed")
