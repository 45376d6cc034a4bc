"""A command that needs no database does not import the database's libraries."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgres import PROJECT, Database

HEAVY = {"sqlalchemy", "alembic", "git", "psycopg", "jsonschema", "rich"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["validate"],
        ["db", "--help"],
        ["schema"],
        ["github", "--help"],
        ["whitelist", "list", "--help"],
        ["test-repos", "add", "a/b"],
        ["completion", "bash"],
    ],
)
def test_no_database_driver_is_imported(arguments: list[str], tmp_path: Path) -> None:
    modules = modules_after(arguments, tmp_path, {})

    assert "click" in modules
    assert not modules & HEAVY


def test_a_dry_run_outside_git_does_not_import_gitpython(
    tmp_path: Path, database: Database
) -> None:
    modules = modules_after(["--dry-run"], tmp_path, {"DATABASE_URL": database.url})

    assert "psycopg" in modules
    assert "git" not in modules


@pytest.mark.parametrize(
    "arguments",
    [["--dry-run"], ["--yes"], ["status"], ["health"], ["history"], ["categorize"]],
    ids=" ".join,
)
def test_only_commands_about_the_schema_import_sqlalchemy(
    arguments: list[str], tmp_path: Path, database: Database
) -> None:
    modules = modules_after(arguments, tmp_path, {"DATABASE_URL": database.url})

    assert "psycopg" in modules
    assert not modules & {"sqlalchemy", "alembic"}


def test_a_stop_imports_no_model_of_the_file_but_the_override(
    tmp_path: Path,
) -> None:
    program = "import sys; import reconciler.operations.limit_change; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )

    modules = set(done.stdout.split())
    assert "reconciler.rollout_file.override" in modules
    assert not modules & {
        "reconciler.rollout_file.model",
        "reconciler.planning.feature_config",
        "reconciler.planning.drift",
        "reconciler.operations.events",
        "yaml",
    }


def test_a_plain_dry_run_imports_no_stages_approvals_and_routing(
    tmp_path: Path, database: Database
) -> None:
    modules = modules_after(["--dry-run"], tmp_path, {"DATABASE_URL": database.url})

    assert "reconciler.planning.planner" in modules
    assert not modules & {
        "reconciler.planning.approvals",
        "reconciler.planning.cost",
        "reconciler.planning.health",
        "reconciler.planning.promotion",
        "reconciler.planning.stages",
        "reconciler.database.apply",
        "reconciler.operations.events",
    }


@pytest.mark.parametrize("line", ["reconcile whitel", "reconcile whitelist ad", "reconcile --dry"])
def test_a_shell_that_completes_a_command_waits_for_no_library(line: str, tmp_path: Path) -> None:
    words = line.split()
    environment = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    completing = {"_RECONCILE_COMPLETE": "bash_complete", **environment}

    modules = modules_after([], tmp_path, completing)

    assert not modules & (HEAVY | {"pydantic", "yaml"})


@pytest.mark.parametrize(
    "line",
    ["reconcile explain acme/t", "reconcile stop --feature oth", "reconcile status --feature oth"],
)
def test_a_shell_that_completes_a_name_waits_for_the_driver_alone(
    line: str, tmp_path: Path, database: Database
) -> None:
    words = line.split()
    environment = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    completing = {"_RECONCILE_COMPLETE": "bash_complete", "DATABASE_URL": database.url}

    modules = modules_after([], tmp_path, completing | environment)

    assert "psycopg" in modules
    assert not modules & {"sqlalchemy", "alembic", "git", "pydantic"}


def modules_after(arguments: list[str], folder: Path, environment: dict[str, str]) -> set[str]:
    """Return the modules that the program has imported at its end."""
    (folder / "rollout.yaml").write_text("version: 1\n")
    program = (
        "import sys\n"
        "from reconciler.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as exit:\n"
        "    print('MODULES', *sys.modules, file=sys.stderr)\n    sys.exit(exit.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    return set(done.stderr.rpartition("MODULES ")[2].split())


def test_a_stop_takes_place_without_sqlalchemy_and_yaml(tmp_path: Path, database: Database) -> None:
    database.execute("INSERT INTO rollout_configuration (feature_name) VALUES ('capture')")
    without = "import sys; sys.modules |= {'sqlalchemy': None, 'yaml': None}\n"
    program = f"{without}from reconciler.cli.main import main\nmain(sys.argv[1:])"
    options = ["--feature", "capture", "--reason", "jobs fail", "--no-write-back", "--yes"]
    subprocess.run(
        [sys.executable, "-c", program, "stop", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "DATABASE_URL": database.url},
        capture_output=True,
        check=False,
    )

    with database.connect() as connection:
        row = connection.execute("SELECT emergency_stop FROM rollout_configuration").fetchone()
    # Only the count of the repositories afterwards needs them.
    assert row == (True,)
