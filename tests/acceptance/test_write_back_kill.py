"""Write-back that is killed at any point and started again: always one row, one commit, one block.

Each process is a real one and is killed by SIGKILL: by the `git` on its path, or while the database
holds its COMMIT.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import UUID

import pytest

from tests.eventually import eventually
from tests.overrides import limit, resume
from tests.program import PROCESSES
from tests.site import Site
from tests.writing_back import apply_file, block, carry, commits, entered, outcomes, remote_git

GIT = """\
#!/bin/sh
# At the command that `at` names, counted, whoever started this is killed, or waits while `at` is there.
for word in "$@"; do
    case "$word" in ls-remote|commit-tree|push) command="$word"; break;; esac
done
if [ -n "$command" ] && read -r moment wanted number <"{folder}/at" 2>/dev/null; then
    echo >>"{folder}/$command"
    if [ "$command" = "$wanted" ] && [ $(wc -l <"{folder}/$command") = "$number" ]; then
        case "$moment" in
            before) kill -9 $PPID; exit 1;;
            after) {git} "$@" >/dev/null 2>&1; kill -9 $PPID; exit 1;;
            stall) touch "{folder}/stalled"; while [ -e "{folder}/at" ]; do sleep 0.02; done;;
        esac
    fi
fi
exec {git} "$@"
"""

LOCK = 725_001
HOLD = f"""
    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER hold AFTER UPDATE OF written_back_at ON rollout_override
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold();
    CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON rollout_state
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold();
"""

BY_GIT = {
    "committed, git untouched": "before ls-remote 1",
    "file written": "before commit-tree 1",
    "committed, not pushed": "before push 1",
    "push's answer lost": "after push 1",
    "pushed, not marked": "after ls-remote 2",
}
MARK = "mark's answer lost"
APPLY = "the apply that the commit triggers"
POINTS = (*BY_GIT, MARK)


def write_back(site: Site, folder: Path) -> None:
    """The work of a process: one pass, as every command makes it."""
    live_in(folder)
    carry(site, patience=timedelta(seconds=60))


def apply(site: Site, folder: Path) -> None:
    live_in(folder)
    apply_file(site)


def live_in(folder: Path) -> None:
    """Use the git and the folder for temporary files in this folder."""
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
    tempfile.tempdir = str(folder / "temporary")


@dataclass(frozen=True)
class Program:
    """A process's own folder, with its `git`."""

    site: Site
    folder: Path

    @classmethod
    def make(cls, site: Site, folder: Path) -> "Program":
        (folder / "temporary").mkdir(parents=True)
        git = folder / "git"
        git.write_text(GIT.format(folder=folder, git=shutil.which("git")))
        git.chmod(0o755)
        return cls(site, folder)

    def start(
        self, at: str | None = None, does: Callable[[Site, Path], None] = write_back
    ) -> BaseProcess:
        if at is not None:
            (self.folder / "at").write_text(f"{at}\n")
        process = PROCESSES.Process(target=does, args=(self.site, self.folder))
        process.start()
        return process

    def be_killed(self, point: str) -> None:
        """Run to a point, and be killed there."""
        if point in BY_GIT:
            process = self.start(BY_GIT[point])
        else:
            with holding(self.site) as is_held:
                process = self.start(does=apply if point == APPLY else write_back)
                eventually(is_held)
                os.kill(process.pid or 0, signal.SIGKILL)
                process.join()
            # The server commits although the client is gone.
            eventually(lambda: not locks(self.site))
        process.join()
        assert process.exitcode == -signal.SIGKILL, point


@contextmanager
def holding(site: Site) -> Iterator[Callable[[], bool]]:
    """Hold every COMMIT of a mark or an apply; yield a function that returns whether one is held."""
    with site.database.connect() as connection:
        connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})".encode())
        yield lambda: locks(site, "NOT granted") > 0


def locks(site: Site, which: str = "true") -> int:
    count: int = site.database.value(
        f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {LOCK} AND {which}"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return count


def run_out(site: Site) -> None:
    """Set the time of the lease back, as if it had expired."""
    site.database.execute("UPDATE rollout_lease SET until = now()")


def feature(number: int) -> str:
    return f"feature_{number}"


@pytest.fixture
def crashing(site: Site) -> Callable[[int], Site]:
    """A site with this many features, applied, whose database can hold a COMMIT."""

    def make(count: int) -> Site:
        site.write(
            "version: 1\nfeatures:\n"
            + "".join(
                f"  {feature(number)}: {{percentage: 10}} # intent\n" for number in range(count)
            )
        )
        site.commit("Many features")
        site.push()
        apply_file(site)
        site.database.execute(HOLD)
        return site

    return make


def assert_once(site: Site, name: str, override: UUID) -> None:
    """Check for one row, one row of history, one commit, one block, and an unchanged desired state."""
    assert site.database.rows(
        "SELECT o.id, state, written_back_at IS NOT NULL AS is_marked FROM rollout_override AS o"
        " JOIN rollout_configuration AS c ON c.id = rollout_config_id WHERE feature_name = %(name)s",
        name=name,
    ) == [{"id": override, "state": "on", "is_marked": True}]
    history = """
        SELECT count(*) FROM rollout_history JOIN rollout_configuration AS c ON c.id = rollout_config_id
        WHERE feature_name = %(name)s AND action = 'auto_rollback'
    """
    assert site.database.value(history, name=name) == 1
    carrying = [each for each in commits(site) if each.override == str(override)]
    assert [each.feature for each in carrying] == [name]
    assert entered(site, override) == 1
    found = block(site, name)
    assert found is not None
    assert found.id == override
    changed = remote_git(site.remote, "diff", "--numstat", f"{carrying[0].id}^", carrying[0].id)
    assert changed.endswith("\trollout.yaml")
    assert site.remote_text().count("# intent") == site.file.read_text().count("# intent")


def assert_apply_changes_nothing(site: Site) -> None:
    site.git("pull", "--quiet", "--ff-only")
    assert not apply_file(site).makes_generation


@pytest.mark.parametrize("point", [*POINTS, APPLY])
def test_after_a_kill_a_stop_is_written_back_once(
    crashing: Callable[[int], Site], point: str, tmp_path: Path, at_size: Callable[[int, int], int]
) -> None:
    runs = at_size(5, 100)
    site = crashing(runs)
    for number in range(runs):
        override = limit(site.database, feature(number))
        if point == APPLY:
            carry(site)
            site.git("pull", "--quiet", "--ff-only")
        Program.make(site, tmp_path / f"killed-{number}").be_killed(point)
        run_out(site)

        again = carry(site)

        assert set(outcomes(again)) <= {"written", "settled"}
        assert_once(site, feature(number), override)
    assert_apply_changes_nothing(site)


@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_a_resume_removes_the_block_once(
    crashing: Callable[[int], Site], point: str, tmp_path: Path, at_size: Callable[[int, int], int]
) -> None:
    runs = at_size(1, 50)
    site = crashing(runs)
    before = site.remote_text()
    for number in range(runs):
        override = limit(site.database, feature(number))
        carry(site)
        resume(site.database, feature(number))
        Program.make(site, tmp_path / f"killed-{number}").be_killed(point)
        run_out(site)

        carry(site)

        assert site.remote_text() == before
        assert entered(site, override) == 2
        site.git("pull", "--quiet", "--ff-only")
        apply_file(site)
        state = "SELECT state FROM rollout_override WHERE id = %(id)s"
        assert site.database.value(state, id=override) == "done"


@pytest.mark.nightly
@pytest.mark.parametrize(("first", "second"), list(product(POINTS, POINTS)))
def test_two_killed_processes_write_back_a_stop_once(
    crashing: Callable[[int], Site], first: str, second: str, tmp_path: Path
) -> None:
    site = crashing(1)
    override = limit(site.database, feature(0))
    # A third process runs all the time, waits for the lease, and completes the work.
    waiting = Program.make(site, tmp_path / "waiting")
    Program.make(site, tmp_path / "first").be_killed(first)
    third = waiting.start()
    other = Program.make(site, tmp_path / "second").start(BY_GIT.get(second))
    while other.is_alive() or third.is_alive():
        # The lease holder: killed, or replaced because it seems to be dead.
        run_out(site)
        other.join(0.2)
    run_out(site)

    carry(site)

    assert_once(site, feature(0), override)
    assert_apply_changes_nothing(site)


@pytest.mark.parametrize("point", ["stall ls-remote 1", "stall commit-tree 1", "stall push 1"])
def test_a_pass_that_lost_its_lease_does_no_harm(
    crashing: Callable[[int], Site], point: str, tmp_path: Path
) -> None:
    site = crashing(1)
    override = limit(site.database, feature(0))
    slow = Program.make(site, tmp_path / "slow")
    process = slow.start(point)
    eventually((slow.folder / "stalled").exists)
    run_out(site)

    assert outcomes(carry(site)) == ["written"]

    (slow.folder / "at").unlink()
    process.join()
    assert process.exitcode == 0
    assert_once(site, feature(0), override)
    assert_apply_changes_nothing(site)


def test_a_block_that_arrives_after_its_resume_is_still_removed(
    crashing: Callable[[int], Site], tmp_path: Path
) -> None:
    site = crashing(1)
    override = limit(site.database, feature(0))
    slow = Program.make(site, tmp_path / "slow")
    process = slow.start("stall push 1")
    eventually((slow.folder / "stalled").exists)
    run_out(site)
    resume(site.database, feature(0))
    assert outcomes(carry(site)) == ["settled"]
    (slow.folder / "at").unlink()
    process.join()
    assert block(site, feature(0)) is not None
    site.git("pull", "--quiet", "--ff-only")

    assert not apply_file(site).makes_generation
    assert outcomes(carry(site)) == ["removed"]

    assert block(site, feature(0)) is None
    assert entered(site, override) == 2


def test_files_of_a_killed_run_are_harmless(
    crashing: Callable[[int], Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = crashing(1)
    before = {path for path in site.folder.rglob("*") if path.is_file()}
    limit(site.database, feature(0))

    Program.make(site, tmp_path / "killed").be_killed("committed, not pushed")

    assert {path for path in site.folder.rglob("*") if path.is_file()} == before
    assert site.git("status", "--porcelain") == ""
    assert site.git("fsck", "--no-dangling") == ""
    left = [path for path in (tmp_path / "killed" / "temporary").rglob("*") if path.is_file()]
    assert left
    assert all("objects" in path.parts for path in left)
