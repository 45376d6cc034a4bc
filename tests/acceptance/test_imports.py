"""A command that needs no database does not wait for one to be imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgres import PROJECT

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
    (tmp_path / "rollout.yaml").write_text("version: 1\n")
    program = (
        "import sys\n"
        "from reconciler.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as exit:\n"
        "    print('MODULES', *sys.modules, file=sys.stderr)\n    sys.exit(exit.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )

    modules = set(done.stderr.rpartition("MODULES ")[2].split())
    assert done.returncode == 0, done.stderr
    assert "click" in modules
    assert not modules & HEAVY
