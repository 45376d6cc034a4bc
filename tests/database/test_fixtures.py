"""The fixtures: each test has its own complete database, and each site is ready for use."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.postgres import PROJECT, Database
from tests.site import FIRST_FILE, Site

HOLD_A_RUN = """
from tests.postgres import TestRun
run, watcher = TestRun.begin()
print(run.folder, run.url("postgres"), watcher.pid, flush=True)
input()
"""


@pytest.mark.parametrize("_round", range(2))
def test_each_test_has_its_own_migrated_database(database: Database, _round: int) -> None:
    assert database.value("SELECT count(*) FROM rollout_configuration") == 0
    database.execute(
        "INSERT INTO rollout_configuration (feature_name) VALUES (%(name)s)", name="somebody_s"
    )
    assert database.rows("SELECT feature_name FROM rollout_configuration") == [
        {"feature_name": "somebody_s"}
    ]


def test_an_empty_database_has_no_table(empty_database: Database) -> None:
    assert empty_database.value("SELECT to_regclass('rollout_configuration')") is None


TWO_TESTS = """
left_open = []

def test_leaves_a_connection_open(database):
    left_open.append(database.connect())

def test_finds_that_database_gone(database):
    names = "SELECT count(*) FROM pg_database WHERE datname LIKE 'test%'"
    assert database.value(names) == 1
    left_open[0].close()
"""


def test_a_database_is_dropped_though_it_has_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import *")
    (tmp_path / "test_two.py").write_text(TWO_TESTS)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout


A_CHILD = """
import subprocess, sys

IGNORED = "import signal; print([each.name for each in signal.valid_signals() if signal.getsignal(each) is signal.SIG_IGN])"

def test_a_child_ignores_what_python_ignores():
    output = subprocess.check_output([sys.executable, "-c", IGNORED], text=True)
    assert set(eval(output)) == {"SIGPIPE", "SIGXFSZ"}
"""


def test_children_have_default_signals_though_the_run_ignores_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import *")
    (tmp_path / "test_child.py").write_text(A_CHILD)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    command = "trap '' INT QUIT HUP; exec \"$0\" -m pytest -q -p no:cacheprovider -p no:xdist"
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_leaves_no_server_and_no_folder_however_it_ends(number: signal.Signals) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_RUN],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert run.stdout is not None
    folder, url, watcher = run.stdout.readline().split()
    server = int((Path(folder) / "server/postgres/postmaster.pid").read_text().split()[0])
    assert url.startswith("postgresql://")
    run.send_signal(number)
    run.communicate()
    deadline = time.monotonic() + 60
    while psutil.pid_exists(int(watcher)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not Path(folder).exists()
    assert not psutil.pid_exists(server)


def test_a_test_does_not_see_the_machines_settings() -> None:
    assert time.tzname[0] == "+0545"
    assert not Path.home().exists()
    assert "DATABASE_URL" not in os.environ
    assert "CI" not in os.environ
    author = subprocess.check_output(["git", "var", "GIT_AUTHOR_IDENT"], text=True)
    assert author.startswith("Ada Author <ada@example.com>")


def test_a_size_depends_on_the_kind_of_run(
    at_size: Callable[[int, int], int], pytestconfig: pytest.Config
) -> None:
    assert at_size(1, 2) == (2 if pytestconfig.getoption("--nightly") else 1)


def test_a_site_is_committed_and_pushed(site: Site) -> None:
    assert site.git("status", "--porcelain") == ""
    assert site.git("rev-parse", "HEAD") == site.git("rev-parse", "origin/main")
    assert site.remote_text() == FIRST_FILE
    site.replace("percentage: 10", "percentage: 25")
    commit = site.commit("Widen")
    assert "percentage: 10" in site.remote_text()
    site.push()
    assert "percentage: 25" in site.remote_text()
    assert site.git("rev-parse", "origin/main") == commit


def test_a_site_runs_the_real_program(site: Site) -> None:
    done = site.reconcile("--help")
    assert done.exit_code == 0
    assert "Usage: " in done.stdout
    started = site.start("--help")
    stdout, _ = started.communicate(timeout=60)
    assert stdout == done.stdout
