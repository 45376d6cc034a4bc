"""`reconcile watch` while the database or the remote is missing, hangs, or returns."""

import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from reconciler.database.address import DatabaseAddress
from reconciler.database.connection import create_engine
from reconciler.database.embedded import EmbeddedServer
from reconciler.database.schema import upgrade
from tests.eventually import eventually
from tests.git_server import git_server
from tests.postgres import Database
from tests.site import Site
from tests.watching import Start, actions, fail_jobs, take_half_in, watching
from tests.writing_back import block, commits

HELD = "SELECT count(*) FROM rollout_lease WHERE name = 'watch' AND until > now()"
FAILED_TICKS = 'rollout_watch_ticks_total{outcome="failed"}'


@pytest.fixture
def rollout(site: Site) -> Site:
    take_half_in(site)
    return site


@pytest.fixture
def start(rollout: Site) -> Iterator[Start]:
    with watching(rollout) as start:
        yield start


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a path short enough for a socket's name."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def test_a_lost_database_is_logged_once_and_recovered_from(
    tmp_path: Path, short_folder: Path
) -> None:
    server = EmbeddedServer(tmp_path / "own")
    # A restarted server has its socket elsewhere.
    sockets = short_folder / "s"
    address = DatabaseAddress.parse(server.start())
    sockets.symlink_to(address.parameters["host"])
    database = Database(DatabaseAddress({**address.parameters, "host": str(sockets)}).url)
    upgrade(create_engine(database.address))
    site = Site.make(tmp_path, database)
    take_half_in(site)
    try:
        with watching(site) as start:
            watcher = start("--listen", "127.0.0.1:0")
            watcher.tells("active")
            server.stop()
            told = watcher.tells("failed", subject="tick")
            eventually(lambda: watcher.metric(FAILED_TICKS) >= 3)
            eventually(lambda: watcher.get("/healthz")[0] == 503)
            sockets.unlink()
            sockets.symlink_to(DatabaseAddress.parse(server.start()).parameters["host"])
            fail_jobs(site)

            watcher.tells("recovered", subject="tick")
            watcher.tells("write_back", feature="capture", outcome="written")

            assert watcher.get("/healthz")[0] == 200
            assert "nothing was written" in told["message"]
            assert len(watcher.events("failed")) == len(watcher.events("recovered")) == 1
            assert actions(site) == ["auto_rollback"]
            assert watcher.end() == 0
    finally:
        site.end()
        server.stop()


def test_an_override_is_pending_until_the_remote_is_back(rollout: Site, start: Start) -> None:
    watcher = start("--listen", "127.0.0.1:0")
    watcher.tells("active")
    away = rollout.remote.rename(rollout.remote.with_name("away"))

    fail_jobs(rollout)
    watcher.tells("rolled_back", feature="capture")
    told = watcher.tells("failed", subject="write-back")
    # The log has the remote's failure once, and not as a failure of ticks.
    watcher.ticks_on(10)
    assert watcher.metric("rollout_pending_write_back") == 1
    assert watcher.metric('rollout_watch_failing{subject="write-back"}') == 1
    assert watcher.get("/healthz")[0] == 200
    away.rename(rollout.remote)

    watcher.tells("write_back", feature="capture", outcome="written")
    watcher.tells("recovered", subject="write-back")
    eventually(lambda: watcher.metric("rollout_pending_write_back") == 0)
    assert "the remote origin cannot be reached" in told["message"]
    assert len(watcher.events("failed")) == 1
    assert block(rollout, "capture") is not None
    assert len(commits(rollout)) == 3


def test_a_remote_that_hangs_delays_no_rollback(
    rollout: Site, start: Start, tmp_path: Path
) -> None:
    with git_server(rollout.remote, tmp_path) as server:
        server.serve(rollout)
        server.goes_on.clear()
        watcher = start()
        fail_jobs(rollout)
        eventually(lambda: bool(server.requests))

        fail_jobs(rollout, "export")

        watcher.tells("rolled_back", feature="export")
        assert watcher.events("write_back") == watcher.events("failed") == []
        # The next watcher does not wait either.
        watcher.process.send_signal(signal.SIGTERM)
        eventually(lambda: not rollout.database.value(HELD))
        assert watcher.process.poll() is None
        server.goes_on.set()
        assert watcher.process.wait(60) == 0
        watcher = start()
        eventually(lambda: len(commits(rollout)) == 4)
        watcher.tells("active")


@pytest.mark.nightly  # it waits for a lock as long as a rollback does
def test_a_locked_feature_does_not_stop_the_rollback_of_others(rollout: Site, start: Start) -> None:
    watcher = start()
    watcher.tells("active")
    holder = rollout.database.connect()
    try:
        holder.execute(
            "SELECT FROM rollout_configuration WHERE feature_name = 'capture' FOR NO KEY UPDATE"
        )
        fail_jobs(rollout)
        fail_jobs(rollout, "export")

        watcher.tells("rolled_back", feature="export")

        assert actions(rollout) == []
    finally:
        holder.close()
    watcher.tells("rolled_back", feature="capture")
    watcher.process.send_signal(signal.SIGTERM)
    assert watcher.process.wait(60) == 0
