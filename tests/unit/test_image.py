"""The image's recipe names existing files, and the image contains no other files of the project."""

import re

from tests.postgres import PROJECT


def test_files_that_the_dockerfile_copies_exist_and_are_not_ignored() -> None:
    recipe = (PROJECT / "Dockerfile").read_text()
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", recipe, re.MULTILINE)
        for name in line.split()
    }
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    let_in = {line[1:].rstrip("/") for line in ignored if line.startswith("!")}

    assert copied == let_in
    assert all((PROJECT / name).exists() for name in copied)
    assert ignored[0] == "*"


def test_every_stage_builds_on_the_base_that_is_given() -> None:
    recipe = (PROJECT / "Dockerfile").read_text()
    before, _, _ = recipe.partition("FROM ")

    assert re.search(r"^ARG BASE=python:[0-9.]+-slim$", before, re.MULTILINE)
    bases = re.findall(r"^FROM (\S+)", recipe, re.MULTILINE)
    assert set(bases) == {"${BASE}"}


def test_the_image_runs_as_a_user_without_rights_and_installs_by_hash() -> None:
    recipe = (PROJECT / "Dockerfile").read_text()
    last_stage = recipe[recipe.rindex("FROM ") :]

    user = re.search(r"^USER ([1-9][0-9]+)$", last_stage, re.MULTILINE)
    assert user is not None
    assert f"--uid {user[1]} reconcile" in last_stage
    assert "install --directory --owner=reconcile /work" in last_stage
    assert "--require-hashes --requirement requirements.txt" in recipe
    assert " git " in last_stage
