"""The environment of a git command, and how it ends."""

import os
import shutil
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import psutil
import pytest

from reconciler.git.command import GitFailed, GitMissing, GitTimedOut, RestrictedGit
from reconciler.git.repository import Repository
from tests.eventually import eventually
from tests.postgres import PROJECT


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which each git process writes its arguments and environment."""
    programs, seen = tmp_path / "programs", tmp_path / "seen"
    programs.mkdir()
    fake = programs / "git"
    fake.write_text(
        f'#!/bin/sh\n{{ echo "called: $*"; env; }} >>{seen}\nexec {shutil.which("git")} "$@"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:s3cret@localhost/production")
    monkeypatch.setenv("GITHUB_TOKEN", "t0ken")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    return seen


def test_an_import_of_the_library_starts_no_program(seen: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import reconciler.git.repository, sys; print('git' in sys.modules)",
        ],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "True\n"
    assert not seen.exists()


def test_whatever_reads_the_repository_gets_no_secret(clone: Path, seen: Path) -> None:
    repository = Repository.around(clone / "rollout.yaml")

    # GitPython's own objects also use it, though the package reads by commands alone.
    assert repository.head.commit.summary == "Declare the rollout"
    assert [blob.name for blob in repository.tree().blobs] == ["rollout.yaml"]
    assert not repository.is_dirty()
    assert repository.is_ancestor("HEAD", "HEAD")
    assert len(list(repository.iter_commits())) == 1
    repository.close()

    calls = seen.read_text()
    assert calls.count("called: ") > 4
    assert calls.count("called: ") == calls.count("safe.bareRepository=explicit")
    assert calls.count("called: ") == calls.count("GIT_TERMINAL_PROMPT=0")
    for secret in ("DATABASE_URL", "s3cret", "t0ken", "GIT_DIR="):
        assert secret not in calls


def test_input_and_output_larger_than_a_pipe_pass_whole() -> None:
    content = os.urandom(1_000_000)

    name = RestrictedGit().hash_object("--stdin", istream=BytesIO(content))
    expected = subprocess.run(
        ["git", "hash-object", "--stdin"], input=content, capture_output=True, check=True
    )

    assert name == expected.stdout.decode().strip()


def test_bytes_are_returned_as_they_are(clone: Path) -> None:
    (clone / "rollout.yaml").write_bytes(b"\xff\r\n\n")
    git = RestrictedGit(clone)
    blob = git.hash_object("-w", "rollout.yaml")

    content = git.cat_file("blob", blob, stdout_as_string=False, strip_newline_in_stdout=False)

    assert content == b"\xff\r\n\n"


def test_a_command_that_takes_too_long_ends_with_what_it_started(
    clone: Path, tmp_path: Path
) -> None:
    child = tmp_path / "child"
    git = RestrictedGit(clone)
    started = time.monotonic()

    with pytest.raises(GitTimedOut, match="no answer within 1 seconds"):
        git(c=f"alias.hang=!echo $$ >{child}; sleep 100").hang(kill_after_timeout=1)

    assert time.monotonic() - started < 50
    eventually(lambda: not psutil.pid_exists(int(child.read_text())))


@pytest.mark.parametrize("stream", [1, 2])
def test_a_flood_of_output_does_not_fill_the_memory(clone: Path, stream: int) -> None:
    git = RestrictedGit(clone)
    before = psutil.Process().memory_info().rss

    with pytest.raises(GitFailed) as failed:
        git(
            c=f"alias.flood=!echo first >&2; head -c 300M /dev/zero >&{stream}; echo last >&2; exit 3"
        ).flood()

    assert psutil.Process().memory_info().rss - before < 200 * 2**20
    if stream == 1:
        assert "it printed more than 64 MiB" in str(failed.value)
    else:
        assert failed.value.status == 3
        assert failed.value.messages.startswith("first")
        assert failed.value.messages.endswith("last")


def test_without_git_one_sentence_says_what_to_install(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(clone))

    with pytest.raises(GitMissing, match="install git"):
        RestrictedGit(clone).status()
