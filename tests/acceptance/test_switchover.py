"""An act waits for a server that accepts writes: one that is gone, or read-only, for some seconds."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from tests.postgres import Database
from tests.site import Site

if TYPE_CHECKING:
    import subprocess

STOP = ("stop", "--feature", "f", "--reason", "errors", "--by", "root", "--no-write-back")


@pytest.fixture
def live(site: Site) -> Site:
    site.database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage) VALUES ('f', 100)"
    )
    return site


def is_stopped(site: Site) -> bool:
    return bool(site.database.value("SELECT emergency_stop FROM rollout_configuration"))


def moved(site: Site, folder: Path) -> str:
    """Return the address of the site's server in a folder where its socket is not yet."""
    return f"{site.database.url.split('?')[0]}?host={folder}&port=5432"


def set_read_only(database: Database, state: str) -> None:
    name = database.value("SELECT current_database()")
    writable = Database(f"{database.url}&options=-c%20default_transaction_read_only%3Doff")
    writable.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {state}')


@contextmanager
def waiting(site: Site, seconds: int, **more: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a stop; yields when it has reported that it waits."""
    process = site.start(*STOP, env={"ROLLOUT_DATABASE_WAIT": str(seconds), **more})
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith(f"waiting up to {seconds} s for a server that accepts writes"), line
    yield process


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return the exit code and what was printed to stderr after the report of waiting."""
    error = process.communicate(timeout=60)[1]
    return process.returncode, error


def test_a_stop_waits_for_a_server_that_starts(live: Site) -> None:
    with (
        # The path of a socket has at most a hundred characters.
        TemporaryDirectory(prefix="socket-") as name,
        waiting(live, 60, DATABASE_URL=moved(live, Path(name))) as process,
    ):
        socket = Path(live.database.address.parameters["host"]) / ".s.PGSQL.5432"
        Path(name, ".s.PGSQL.5432").symlink_to(socket)
        assert ended(process) == (0, "Next: reconcile verify\n")
    assert is_stopped(live)


def test_a_stop_waits_while_the_server_is_read_only(live: Site) -> None:
    set_read_only(live.database, "on")
    with waiting(live, 60) as process:
        set_read_only(live.database, "off")
        assert ended(process) == (0, "Next: reconcile verify\n")
    assert is_stopped(live)
    assert live.database.value("SELECT count(*) FROM rollout_history") == 1


def test_a_stop_names_the_other_ways_when_its_time_is_over(live: Site) -> None:
    set_read_only(live.database, "on")
    with waiting(live, 1) as process:
        code, error = ended(process)
    assert code == 1
    assert "set the address of the primary server" in error
    assert not is_stopped(live)


def test_ctrl_c_ends_the_waiting(live: Site) -> None:
    set_read_only(live.database, "on")
    with waiting(live, 60) as process:
        process.send_signal(signal.SIGINT)
        code, error = ended(process)
    assert (code, error) == (130, "\ninterrupted; every step was either completed or not begun\n")
    assert not is_stopped(live)


@pytest.mark.parametrize("value", ["soon", "-1", "٣"])
def test_an_odd_time_to_wait_is_refused(live: Site, value: str) -> None:
    done = live.reconcile(*STOP, env={"ROLLOUT_DATABASE_WAIT": value})
    assert (done.exit_code, done.stderr) == (
        1,
        "error: ROLLOUT_DATABASE_WAIT: give it a number of seconds, such as 60\n",
    )
