"""The hook that other repositories use, run by the real pre-commit; and the schema that editors use."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from reconciler.rollout_file import SCHEMA_PATH
from tests.postgres import PROJECT
from tests.site import Site


@pytest.fixture
def hooks(site: Site, tmp_path: Path) -> Path:
    """A repository that has the hooks of this one, as a released version has them."""
    folder = tmp_path / "hooks"
    folder.mkdir()
    (folder / ".pre-commit-hooks.yaml").write_bytes(
        (PROJECT / ".pre-commit-hooks.yaml").read_bytes()
    )
    for arguments in (
        ("init", "--quiet"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=v1"),
        ("tag", "v1"),
    ):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


def pre_commit(site: Site, programs: Path) -> "subprocess.CompletedProcess[str]":
    programs.mkdir(exist_ok=True)
    program = programs / "reconcile"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m reconciler "$@"\n')
    program.chmod(0o755)
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files", "--color=never"],
        cwd=site.folder,
        env=site.environment(
            {
                "PATH": f"{programs}:{os.environ['PATH']}",
                "PRE_COMMIT_HOME": str(programs.parent / "pre-commit"),
                "DATABASE_URL": None,
            }
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_hook_checks_the_rollout_files_of_another_repository(
    site: Site, hooks: Path, tmp_path: Path
) -> None:
    # The program is here already; the hook itself would install it from the package index.
    (site.folder / ".pre-commit-config.yaml").write_text(
        f"repos:\n  - repo: {hooks}\n    rev: v1\n"
        "    hooks: [{id: reconcile-validate, language: system}]\n"
    )
    (site.folder / "team").mkdir()
    (site.folder / "team" / "rollout.yml").write_text("version: 1\n")
    (site.folder / "other.yaml").write_text("no: rollout\n")
    site.commit("Check the rollout files")

    passed = pre_commit(site, tmp_path / "programs")
    (site.folder / "team" / "rollout.yml").write_text("version: 1\nfeature: {}\n")
    failed = pre_commit(site, tmp_path / "programs")

    assert passed.returncode == 0, passed.stdout
    assert "reconcile validate" in passed.stdout
    assert failed.returncode == 1
    assert "team/rollout.yml:2:1: " in failed.stdout
    assert "other.yaml" not in failed.stdout


def test_init_writes_the_schema_that_the_first_line_names(site: Site) -> None:
    site.file.unlink()

    done = site.reconcile("init")

    first = site.file.read_text().splitlines()[0]
    schema = json.loads((site.folder / SCHEMA_PATH).read_text())
    assert first == f"# yaml-language-server: $schema={SCHEMA_PATH}"
    assert f"rollout.yaml and {SCHEMA_PATH} are written" in done.stdout
    Draft202012Validator.check_schema(schema)


def test_init_leaves_a_schema_that_is_there(site: Site) -> None:
    site.file.unlink()
    (site.folder / SCHEMA_PATH).parent.mkdir()
    (site.folder / SCHEMA_PATH).write_text("{}")

    done = site.reconcile("init")

    assert (site.folder / SCHEMA_PATH).read_text() == "{}"
    assert done.stdout.startswith("rollout.yaml is written.")


def test_a_schema_has_an_address_and_its_entry_in_a_catalogue() -> None:
    entry = json.loads((PROJECT / "schemas" / "schemastore.json").read_text("utf-8"))
    schemas = {
        name: json.loads((PROJECT / "schemas" / f"{name}.schema.json").read_text("utf-8"))
        for name in ("rollout", "plan")
    }

    assert entry["url"] == schemas["rollout"]["$id"]
    assert {each["$id"].rpartition("/")[2] for each in schemas.values()} == {
        "rollout.schema.json",
        "plan.schema.json",
    }
    assert entry["fileMatch"] == ["rollout.yaml", "rollout.yml"]
