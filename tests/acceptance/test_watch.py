"""`reconcile watch`: automatic rollbacks, one leader at a time, and its log and metrics."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.database.transactions import Database as Opened
from reconciler.planning.health import JobMetrics, Period
from reconciler.watching import leadership
from reconciler.watching.watch import Task, Watch
from tests.eventually import eventually
from tests.site import Site
from tests.watching import Start, actions, fail_jobs, take_half_in, watching
from tests.writing_back import block, commits

PASSWORD = "Tr0ub4dor-and-3"

WRITE_BACK_LEASES = """
SELECT count(*) FROM rollout_lease WHERE name = 'write-back' AND until > clock_timestamp()
"""


@pytest.fixture
def rollout(site: Site) -> Site:
    """A site with two features at 50 percent, applied and pushed."""
    return take_half_in(site)


@pytest.fixture
def start(rollout: Site) -> Iterator[Start]:
    with watching(rollout) as start:
        yield start


def test_a_failing_feature_is_rolled_back_and_written_back(
    rollout: Site, start: Start, tmp_path: Path
) -> None:
    # Records the environment of every git command, and runs the real git.
    seen = tmp_path / "seen"
    (tmp_path / "bin").mkdir()
    git = tmp_path / "bin" / "git"
    real = rollout.git("--exec-path") + "/git"
    git.write_text(f'#!/bin/sh\n{{ env; echo "$@"; }} >> {seen}\nexec {real} "$@"\n')
    git.chmod(0o755)
    url = f"{rollout.database.url}&password={PASSWORD}"
    watcher = start(
        *("--listen", "127.0.0.1:0"),
        env={"DATABASE_URL": url, "PATH": f"{git.parent}:/usr/bin:/bin"},
    )
    watcher.tells("active")
    watcher.ticks_on()
    assert actions(rollout) == []

    fail_jobs(rollout)

    told = watcher.tells("rolled_back", feature="capture")
    carried = watcher.tells("write_back", feature="capture", outcome="written")
    eventually(lambda: watcher.metric("rollout_pending_write_back") == 0)
    override = block(rollout, "capture")
    assert override is not None
    assert str(override.id) == told["override"] == carried["override"]
    assert (told["percentage"], told["error_rate"], told["jobs"], told["errors"]) == (0, 100, 4, 4)
    newest = commits(rollout)[0]
    assert newest.id == carried["commit"]
    assert newest.message.startswith("Hold to 0 percent capture: error rate 100.00% over 25%")
    assert watcher.metric('rollout_verdict{feature="capture",verdict="fail"}') == 1
    assert watcher.metric('rollout_verdict{feature="export",verdict="fail"}') == 0
    assert watcher.metric('rollout_error_rate{feature="capture"}') == 100
    assert watcher.metric('rollout_rollbacks_total{feature="capture"}') == 1
    assert watcher.metric('rollout_override_in_force{feature="capture"}') == 1
    assert watcher.metric('rollout_override_in_force{feature="export"}') == 0
    assert watcher.metric("rollout_watch_active") == 1
    status, health = watcher.get("/healthz")
    assert (status, json.loads(health)["role"]) == (200, "active")
    assert watcher.get("/")[0] == 404
    assert watcher.end() == 0
    assert [each["signal"] for each in watcher.events("ended")] == ["SIGTERM"]
    assert actions(rollout) == ["auto_rollback"]
    for text in (watcher.log, seen.read_text(), rollout.git("log", "-p", "--all")):
        assert text
        assert PASSWORD not in text


def test_a_second_watcher_takes_over_when_the_first_is_killed(rollout: Site, start: Start) -> None:
    first = start("--listen", "127.0.0.1:0")
    first.tells("active")
    second = start("--listen", "127.0.0.1:0")
    holder = second.tells("standby")["holder"]
    assert f"process {first.process.pid} on " in holder

    fail_jobs(rollout)
    first.tells("write_back", feature="capture", outcome="written")
    second.ticks_on()
    status, health = second.get("/healthz")
    assert (status, json.loads(health)["role"]) == (200, "standby")
    assert second.metric("rollout_watch_active") == 0
    # A killed pass of write-back keeps its lease for 100 seconds, so none may run from here on.
    first.ticks_on()
    eventually(lambda: rollout.database.value(WRITE_BACK_LEASES) == 0)
    first.end(signal.SIGKILL)
    fail_jobs(rollout, "export")

    second.tells("active")
    second.tells("write_back", feature="export", outcome="written")
    assert first.events("rolled_back", feature="export") == []
    assert second.events("rolled_back", feature="capture") == []
    assert (actions(rollout), actions(rollout, "export")) == (["auto_rollback"], ["auto_rollback"])
    assert len(commits(rollout)) == 4


def test_a_watch_that_ends_releases_the_lease(rollout: Site, start: Start) -> None:
    first = start()
    first.tells("active")
    second = start()
    second.tells("standby")
    holder = rollout.database.value("SELECT holder FROM rollout_lease WHERE name = 'watch'")

    assert first.end(signal.SIGINT) == 130

    still_holds = "SELECT count(*) FROM rollout_lease WHERE holder = %(holder)s AND until > now()"
    assert rollout.database.value(still_holds, holder=holder) == 0
    second.tells("active")


def test_a_watcher_whose_lease_another_took_stops_acting(rollout: Site, start: Start) -> None:
    watcher = start("--listen", "127.0.0.1:0")
    watcher.tells("active")
    rollout.database.execute(
        "UPDATE rollout_lease SET holder = 'another', until = now() + interval '1 hour'"
    )

    fail_jobs(rollout)

    assert watcher.tells("standby")["holder"] == "another"
    watcher.ticks_on()
    assert actions(rollout) == []


def test_a_watch_waits_for_another_write_back_pass(rollout: Site, start: Start) -> None:
    rollout.database.execute("""
        INSERT INTO rollout_lease (name, holder, until)
        VALUES ('write-back', 'a stop', now() + interval '1 hour')
    """)
    watcher = start("--listen", "127.0.0.1:0")
    fail_jobs(rollout)
    watcher.tells("rolled_back", feature="capture")
    watcher.ticks_on(10)
    rollout.database.execute("UPDATE rollout_lease SET until = now() WHERE name = 'write-back'")

    watcher.tells("write_back", feature="capture", outcome="written")
    assert watcher.events("failed") == []


def test_a_long_tick_keeps_its_lease(rollout: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, is_kept = [0.0], []
    monkeypatch.setattr(leadership, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    class Slow:
        """Takes half the time of a lease for one feature, and more than a lease for two."""

        def read_metrics(self, feature: str, period: Period) -> JobMetrics:
            lasts = "SELECT until > clock_timestamp() + interval '20 s' FROM rollout_lease"
            is_kept.append(rollout.database.value(lasts))
            rollout.database.execute("UPDATE rollout_lease SET until = until - interval '13 s'")
            clock[0] += 13
            return JobMetrics()

    task = Task(Opened.at(rollout.database.address), rollout.file, 0.1, (), Slow(), None, "a test")
    Watch(task, lambda _event: None).run(lambda _seconds: True)

    assert is_kept == [True, True]


def test_an_invalid_listen_address_is_refused(site: Site) -> None:
    refused = site.reconcile("watch", "--listen", "9464")

    assert (refused.exit_code, refused.stdout) == (64, "")
    assert "'--listen': '9464' is not an address; write host:port" in refused.stderr


def test_an_unknown_branch_or_a_used_port_ends_the_watch_at_once(rollout: Site) -> None:
    nobodys = rollout.reconcile("watch", "--follow", "upstream/main")
    assert (nobodys.exit_code, nobodys.stderr) == (
        1,
        "error: 'upstream/main' does not begin with the name of a remote; remotes here: origin\n",
    )
    with watching(rollout) as start:
        listening = start("--listen", "127.0.0.1:0").tells("started")["listen"]
        taken = rollout.reconcile("watch", "--listen", listening)
    assert taken.exit_code == 1
    assert f"cannot listen on {listening}: Address already in use" in taken.stderr
