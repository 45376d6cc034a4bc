"""`reconcile demo`: a person with nothing but the package sees a rollout fail, roll back and resume."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.database.address import EMBEDDED_FOLDER
from reconciler.database.embedded import EmbeddedServer
from tests import program
from tests.postgres import PROJECT
from tests.program import Completed


@pytest.fixture
def empty_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder outside of every repository; the demo `trial` in it is ended."""
    folder = tmp_path / "a b"
    folder.mkdir()
    yield folder
    EmbeddedServer(folder / "trial" / EMBEDDED_FOLDER).stop()


def environment(folder: Path) -> dict[str, str]:
    """The variables of a person who installed the program and whose git knows no name."""
    programs = folder.parent / "programs"
    programs.mkdir(exist_ok=True)
    start = programs / "reconcile"
    start.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m reconciler "$@"\n')
    start.chmod(0o755)
    variables = {**os.environ, "PYTHONPATH": str(PROJECT), "HOME": str(folder.parent)}
    variables["PATH"] = f"{programs}:{variables['PATH']}"
    for name in ("DATABASE_URL", "ROLLOUT_FILE", "GIT_CONFIG_GLOBAL", "ROLLOUT_ACTOR"):
        variables.pop(name, None)
    return {name: value for name, value in variables.items() if not name.startswith("GIT_")}


def run(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Completed:
    variables = {**environment(folder), **(env or {})}
    return program.run(arguments, folder=folder, environment=variables, stdin="", timeout=240)


def test_the_lines_of_a_demo_show_a_rollout_that_fails_and_resumes(empty_folder: Path) -> None:
    made = run(empty_folder, "demo", "trial")
    assert made.exit_code == 0, made.stderr

    typed = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", made.stdout],
        cwd=empty_folder,
        env=environment(empty_folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert typed.returncode == 0, typed.stdout + typed.stderr
    for line in (
        "eligible     0 → 14 of 42 repositories   +14 gain   −0 lose",
        "Applied: 1 feature created, 1 change, generation 1.",
        "capture: rolled back to 0",
        "Hold to 0 percent capture: error rate 100.00% over 5% (3 of 3 jobs in 24h)",
        "+    override: # in force; remove this block to resume",
        "14 of 42 repositories have the feature now",
        "by demo: The runner image is fixed",
        "the embedded database is stopped",
    ):
        assert line in typed.stdout, line


def error_rate(windows: list[dict[str, Any]]) -> float:
    return float(sum(each["errors"] for each in windows) / sum(each["jobs"] for each in windows))


def test_a_demo_with_jobs_has_a_day_of_both_processors_and_a_rollback(empty_folder: Path) -> None:
    made = run(empty_folder, "demo", "trial", "--with-jobs")
    assert made.exit_code == 0, made.stderr
    trial = empty_folder / "trial"

    history = json.loads(run(trial, "history", "--format", "json").stdout)["history"]
    windows = json.loads(
        run(
            trial, "metrics", "show", "--since", "24h", "--limit", "1000", "--format", "json"
        ).stdout
    )["windows"]
    status = json.loads(run(trial, "status", "--format", "json").stdout)

    assert "reconcile dashboard --listen 127.0.0.1:8017" in made.stdout
    assert [(each["action"], each["new_percentage"]) for each in history] == [
        ("rollback", 0),
        ("created", 25),
    ]
    assert {each["processor"] for each in windows} == {"github_actions", "inngest"}
    rolled_back_at = history[0]["created_at"]
    # Which jobs fail depends on the time of day: the rest of the day has single ones.
    before = [each for each in windows if each["begins_at"] < rolled_back_at]
    after = [each for each in windows if each["begins_at"] >= rolled_back_at]
    outage = sorted(before, key=lambda each: each["begins_at"])[-10:]
    assert error_rate(outage) > 5 * error_rate(after)
    assert status["features"][0]["override"]["reason"] == "the jobs of the new runner image fail"
    assert "Nothing to change" in run(trial, "--dry-run").stdout


def test_a_demo_leaves_a_folder_with_files_as_it_is(empty_folder: Path) -> None:
    (empty_folder / "trial").mkdir()
    (empty_folder / "trial" / "notes.txt").write_text("mine")
    (empty_folder / "file").write_text("mine")

    full = run(empty_folder, "demo", "trial")
    file = run(empty_folder, "demo", "file")

    assert (full.exit_code, file.exit_code) == (1, 1)
    assert "is not empty and stays as it is; name a new folder" in full.stderr
    assert "cannot be the folder: File exists; name another one" in file.stderr
    assert [each.name for each in (empty_folder / "trial").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["DATABASE_URL", "ROLLOUT_FILE"])
def test_a_demo_is_refused_where_its_lines_would_go_elsewhere(
    empty_folder: Path, name: str
) -> None:
    done = run(empty_folder, "demo", "trial", env={name: "postgresql://production/db"})

    assert done.exit_code == 1
    assert f"first: unset {name}" in done.stderr
    assert list(empty_folder.iterdir()) == []


@pytest.mark.parametrize("option", [("--database-url", "x"), ("--file", "x.yaml")])
def test_a_demo_takes_no_other_file_or_database(
    empty_folder: Path, option: tuple[str, str]
) -> None:
    done = run(empty_folder, "demo", "trial", *option)

    assert done.exit_code == 64
    assert list(empty_folder.iterdir()) == []
