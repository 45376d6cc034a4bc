"""Stopping, rolling back and resuming by command: at once in the database, then as a commit."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from inline_snapshot import snapshot

from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.operations import safeguard
from reconciler.operations.write_back import write_back
from tests.builders import report_jobs
from tests.fault_proxy import Deed, FaultProxy, Message, Rule, Side
from tests.postgres import Database
from tests.site import Site
from tests.watching import fail_jobs

FILE = """\
# Who gets what, and since when.
version: 1
features:
  capture:
    percentage: 50  # half of them
    guards: {max_increase: 100}
    health: {min_jobs: 4, rollback_to: 5}
"""
REPOSITORIES = "full_name,stars,contributors,pull_requests\n" + "".join(
    f"acme/tool-{number},10,2,10\n" for number in range(12)
)


@pytest.fixture
def rollout(site: Site) -> Site:
    """A site in which half of twelve repositories are eligible, applied and pushed."""
    (site.folder / "r.csv").write_text(REPOSITORIES)
    site.reconcile("repositories", "load", "r.csv")
    site.write(FILE)
    site.commit("Take half in")
    site.push()
    assert site.reconcile().exit_code == 0
    return site


def read(site: Site, *arguments: str) -> Any:
    done = site.reconcile(*arguments, "--format", "json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def live(site: Site) -> tuple[int, bool]:
    (row,) = site.database.rows(
        "SELECT rollout_percentage::integer AS percentage, emergency_stop FROM rollout_configuration"
    )
    return row["percentage"], row["emergency_stop"]


def actions(site: Site) -> list[str]:
    rows = site.database.rows("SELECT action FROM rollout_history ORDER BY position")
    return [row["action"] for row in rows][1:]


def add_jobs(site: Site, jobs: int, errors: int, processor: str = "github_actions") -> None:
    report_jobs(site.database, jobs, errors=errors, repository="acme/tool-1", processor=processor)


def test_a_stop_is_in_force_before_git_is_asked_and_then_on_the_branch(rollout: Site) -> None:
    done = rollout.reconcile("stop", "--reason", "it hurts")

    assert done.exit_code == 0, done.stderr
    first, percentage, *_ = done.stdout.splitlines()
    assert (first, percentage) == snapshot(("capture: stopped", "    percentage   50 → 0"))
    assert "capture: override written to origin/main by " in done.stdout
    assert live(rollout) == (0, True)
    assert rollout.database.value("SELECT count(*) FROM eligible_repositories('capture')") == 0
    text = rollout.remote_text()
    assert text.startswith(FILE)
    assert "      emergency_stop: true\n      reason: it hurts\n" in text
    assert rollout.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("redirection", "exit_code", "said"),
    [
        ("", 141, ""),
        (">&-", 0, ""),
        ("> /dev/full", 1, "error: the result cannot be printed: No space left on device\n"),
    ],
)
def test_a_stop_is_written_back_though_its_output_is_lost(
    rollout: Site, redirection: str, exit_code: int, said: str
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        f'exec {sys.executable} -m reconciler stop --reason "it hurts" {redirection}',
        shell=True,
        cwd=rollout.folder,
        env=rollout.environment({}),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (exit_code, f"Next: reconcile verify\n{said}")
    assert live(rollout) == (0, True)
    assert "reason: it hurts" in rollout.remote_text()


def test_a_resume_restores_the_file_and_the_eligible_repositories(rollout: Site) -> None:
    before = rollout.database.value("SELECT count(*) FROM eligible_repositories('capture')")
    rollout.reconcile("stop", "--reason", "it hurts")

    done = rollout.reconcile("resume", "--reason", "it is fixed")

    assert done.exit_code == 0, done.stderr
    assert rollout.remote_text() == FILE
    assert live(rollout) == (50, False)
    assert rollout.database.value("SELECT count(*) FROM eligible_repositories('capture')") == before
    assert actions(rollout) == ["emergency_stop", "resumed"]


def test_a_narrower_act_replaces_the_block_and_one_resume_lifts_both(rollout: Site) -> None:
    rollout.reconcile("rollback", "--to", "10", "--reason", "errors since 50")
    at_ten = rollout.remote_text()
    rollout.reconcile("stop", "--reason", "still errors")
    stopped = rollout.remote_text()
    rollout.reconcile("resume", "--reason", "fixed")

    assert "      percentage: 10\n" in at_ten
    assert "      emergency_stop: true\n" in stopped
    assert "errors since 50" not in stopped
    assert rollout.remote_text() == FILE
    assert live(rollout) == (50, False)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (
            ("rollback", "--to", "60", "--reason", "x"),
            3,
            "so 60 is not a rollback; nothing was written",
        ),
        (("rollback", "--to", "120", "--reason", "x"), 64, "a number from 0 to 100"),
        (("rollback", "--to", "10"), 64, "Missing option '--reason'"),
        (("stop", "--reason", "x", "--feature", "captur"), 1, "did you mean capture?"),
        (("stop",), 64, "Missing option '--reason'"),
        (("stop", "--reason", " "), 64, "--reason is empty; give a reason"),
    ],
)
def test_an_impossible_act_is_one_line(
    rollout: Site, arguments: tuple[str, ...], exit_code: int, message: str
) -> None:
    done = rollout.reconcile(*arguments)

    assert done.exit_code == exit_code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert live(rollout) == (50, False)


def test_a_stop_works_without_git(rollout: Site) -> None:
    elsewhere = rollout.folder.parent / "elsewhere"
    elsewhere.mkdir()

    done = Site(elsewhere, rollout.remote, rollout.database, rollout.started).reconcile(
        "stop", "--reason", "it hurts"
    )

    assert done.exit_code == 0
    assert live(rollout) == (0, True)
    assert "not in git yet: " in done.stderr


def test_no_write_back_does_not_change_git(rollout: Site) -> None:
    told = read(rollout, "stop", "--reason", "it hurts", "--no-write-back")

    assert told["write_back"] is None
    assert (told["changed"], told["after"]["emergency_stop"], told["eligible"]) == (True, True, 0)
    assert rollout.remote_text() == FILE


def test_a_stop_needs_no_file(rollout: Site) -> None:
    rollout.file.unlink()

    done = rollout.reconcile("stop", "--reason", "it hurts", "--no-write-back")

    assert done.exit_code == 0, done.stderr
    assert live(rollout) == (0, True)


def test_an_adopted_feature_that_no_apply_knows_is_stopped_and_resumed(site: Site) -> None:
    site.database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage) VALUES ('capture', 30)"
    )

    site.reconcile("rollback", "--to", "10", "--reason", "x", "--no-write-back")
    site.reconcile("stop", "--reason", "x", "--no-write-back")
    stopped = live(site)
    site.reconcile("resume", "--reason", "x", "--no-write-back")

    assert stopped == (0, True)
    assert live(site) == (30, False)


def test_a_failing_feature_is_rolled_back_once_then_stopped(rollout: Site) -> None:
    add_jobs(rollout, 8, 2)
    (first,) = read(rollout, "health", "--rollback")["features"]
    (second,) = read(rollout, "health", "--rollback")["features"]
    rolled_back = live(rollout)
    add_jobs(rollout, 3, 3)
    (third,) = read(rollout, "health", "--rollback")["features"]
    add_jobs(rollout, 1, 0)
    (fourth,) = read(rollout, "health", "--rollback")["features"]

    assert [each["rolled_back"] for each in (first, second, third, fourth)] == [
        True,
        False,
        False,
        True,
    ]
    assert rolled_back == (5, False)
    assert live(rollout) == (0, True)
    assert actions(rollout) == ["auto_rollback", "auto_rollback"]
    reasons = rollout.database.rows("SELECT reason FROM rollout_override ORDER BY created_at")
    assert [row["reason"] for row in reasons] == snapshot(
        [
            "error rate 25.00% over 5% (2 of 8 jobs in 24h)",
            "error rate 75.00% over 5% (3 of 4 jobs in the time since the rollback)",
        ]
    )
    assert "error rate 75.00%" in rollout.remote_text()


def test_a_feature_that_cannot_roll_back_does_not_block_others(rollout: Site) -> None:
    rollout.write(FILE + FILE.partition("features:\n")[2].replace("capture", "export"))
    rollout.commit("Export as well")
    rollout.push()
    rollout.reconcile()
    for feature in ("capture", "export"):
        fail_jobs(rollout, feature)
    rollout.database.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'somebody holds it' USING ERRCODE = 'lock_not_available'; END $$;
        CREATE TRIGGER held BEFORE UPDATE ON rollout_configuration
        FOR EACH ROW WHEN (old.feature_name = 'capture') EXECUTE FUNCTION refuse();
    """)

    done = rollout.reconcile("health", "--rollback", "--format", "json", "--detailed-exitcode")

    told = {each["name"]: each["rolled_back"] for each in json.loads(done.stdout)["features"]}
    assert told == {"capture": False, "export": True}
    assert done.exit_code == 1
    assert "export: override written to origin/main" in done.stderr
    *_, which, why = done.stderr.splitlines()
    assert which == "capture: not rolled back"
    assert "another transaction holds the lock" in why


def test_jobs_from_before_a_resume_cause_no_rollback(rollout: Site) -> None:
    add_jobs(rollout, 8, 8)
    rollout.reconcile("health", "--rollback", "--no-write-back")
    rollout.reconcile("resume", "--reason", "fixed", "--no-write-back")

    (after,) = read(rollout, "health", "--rollback", "--no-write-back")["features"]

    assert (after["verdict"], after["reason"], after["rolled_back"]) == (
        "inconclusive",
        "no_data",
        False,
    )
    assert live(rollout) == (50, False)


def test_verify_shows_the_result_of_each_check(rollout: Site) -> None:
    rollout.reconcile("stop", "--reason", "it hurts", "--no-write-back")
    early = read(rollout, "verify")["features"][0]
    rollout.reconcile("write-back")
    add_jobs(rollout, 1, 0, processor="inngest")
    late = rollout.reconcile("verify")

    assert {each["name"]: each["status"] for each in early["checks"]} == {
        "configuration": "ok",
        "eligibility": "ok",
        "jobs": "not yet",
        "history": "ok",
        "git": "not yet",
    }
    assert early["seconds"] > 0
    assert late.exit_code == 0
    assert late.stdout.count(" ok ") == 5


def test_a_rollback_undone_by_sql_does_not_verify(rollout: Site) -> None:
    rollout.reconcile("stop", "--reason", "it hurts")
    rollout.database.execute(
        "UPDATE rollout_configuration SET emergency_stop = false, rollout_percentage = 100"
    )

    done = rollout.reconcile("verify")

    assert done.exit_code == 1
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()[1:3]]
    assert lines == snapshot(
        [
            "configuration failed live is 100, and the stop is in force; see reconcile drift",
            "eligibility failed 12 of 12 repositories are wrongly eligible, 0 are wrongly not",
        ]
    )


def test_a_block_removed_from_the_branch_does_not_verify(rollout: Site) -> None:
    rollout.reconcile("stop", "--reason", "it hurts")
    rollout.git("pull", "--quiet")
    rollout.git("revert", "--no-edit", "HEAD")
    rollout.push()

    done = rollout.reconcile("verify")

    assert done.exit_code == 1
    tip = rollout.git("rev-parse", "HEAD")[:7]
    assert " ".join(" ".join(done.stdout.splitlines()[-2:]).split()) == (
        f"git failed origin/main at {tip} no longer has it; an apply of that commit resumes the feature"
    )


def test_a_limit_edited_on_the_branch_does_not_verify(rollout: Site) -> None:
    rollout.reconcile("rollback", "--to", "20", "--reason", "it hurts")
    rollout.git("pull", "--quiet")
    rollout.replace("      percentage: 20\n", "      percentage: 5\n")
    rollout.commit("Lower the limit")
    rollout.push()

    done = rollout.reconcile("verify")

    assert done.exit_code == 1
    tip = rollout.git("rev-parse", "HEAD")[:7]
    assert " ".join(" ".join(done.stdout.splitlines()[-2:]).split()).endswith(
        f"git failed origin/main at {tip} has it with the limit of 5; an apply of that commit changes it"
    )


def test_jobs_on_the_processor_after_a_rollback_do_not_verify(rollout: Site) -> None:
    rollout.reconcile("stop", "--reason", "it hurts", "--no-write-back")
    rollout.database.execute(
        "UPDATE rollout_override SET created_at = created_at - interval '1 hour'"
    )
    add_jobs(rollout, 2, 0)

    (found,) = json.loads(rollout.reconcile("verify", "--no-git", "--format", "json").stdout)[
        "features"
    ]

    (jobs,) = (each for each in found["checks"] if each["name"] == "jobs")
    assert jobs["status"] == "failed"


# Killed at any point before git, and started again. The later points: test_write_back.py.


def at(text: str, deed: Deed = Deed.HOLD) -> Rule:
    """Hold the program before it sends this statement."""

    def rule(message: Message) -> Deed:
        is_it = message.side is Side.FRONTEND and message.says(text)
        return deed if is_it else Deed.PASS

    return rule


def before_anything(message: Message) -> Deed:
    return Deed.HOLD if message.number == 1 else Deed.PASS


def at_commit(message: Message) -> Deed:
    return Deed.HOLD if message.commits else Deed.PASS


def at_answer(message: Message) -> Deed:
    return Deed.HOLD if message.answers_commit else Deed.PASS


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(before_anything, id="before the transaction"),
        pytest.param(at("INTO public.rollout_override"), id="lock held"),
        pytest.param(at("INTO public.rollout_history"), id="between statements"),
        pytest.param(at_commit, id="before COMMIT"),
        pytest.param(at_answer, id="COMMIT's answer lost"),
    ],
)
def test_a_stop_that_is_killed_and_repeated_is_one_stop(
    site: Site, rule: Rule, at_size: Callable[[int, int], int]
) -> None:
    runs = at_size(5, 100)
    names = [f"feature_{number}" for number in range(runs)]
    text = "version: 1\nfeatures:\n" + "".join(
        f"  {name}:  # of team {name}\n    percentage: 50\n    guards: {{max_increase: 100}}\n"
        for name in names
    )
    site.write(text)
    site.commit("Take half in everywhere")
    site.push()
    assert site.reconcile().exit_code == 0

    for name in names:
        stop_killed(site, name, rule)
        opened = OpenedDatabase.at(site.database.address)
        safeguard.stop(opened, name, by="ada", reason="it hurts")
        write_back(opened, site.file)

    rows = site.database.rows("""
        SELECT feature_name, emergency_stop,
            (SELECT count(*) FROM rollout_override AS o
            WHERE o.rollout_config_id = c.id AND state = 'on') AS overrides,
            (SELECT count(*) FROM rollout_history AS h
            WHERE h.rollout_config_id = c.id AND action = 'emergency_stop') AS history
        FROM rollout_configuration AS c
    """)
    assert {row["feature_name"] for row in rows} == set(names)
    assert {(row["emergency_stop"], row["overrides"], row["history"]) for row in rows} == {
        (True, 1, 1)
    }
    assert len(site.git("ls-remote", "origin", "main")) > 0
    site.git("fetch", "--quiet")
    subjects = site.git("log", "--format=%s", "HEAD..origin/main").splitlines()
    assert sorted(subjects) == sorted(f"Stop {name}: it hurts" for name in names)
    assert without_blocks(site.remote_text()) == text


def stop_killed(site: Site, feature: str, rule: Rule) -> None:
    """Start a stop, and kill it when the rule holds it."""
    with FaultProxy(site.database, rule) as proxy:
        behind = Site(site.folder, site.remote, Database(proxy.url), site.started)
        with behind.run_to_kill("stop", "--feature", feature, "--reason", "it hurts"):
            assert proxy.holding.wait(30)


def without_blocks(text: str) -> str:
    """Return the file without its overrides' blocks, each of six lines."""
    lines = iter(text.splitlines(keepends=True))
    kept = []
    for line in lines:
        if line.startswith("    override:"):
            for _ in range(5):
                next(lines)
        else:
            kept.append(line)
    return "".join(kept)
