"""Finding a file's repository, and reading the file from it."""

from pathlib import Path

import pytest

from reconciler.errors import SetupInvalid
from reconciler.git.ancestry import Relation, relate
from reconciler.git.head import Head, content_at, read_head
from reconciler.git.repository import NoRepository, Repository
from tests.site import FIRST_FILE
from tests.unit.git.conftest import make_clone, run_git


def commit(clone: Path, text: str, message: str = "Change it") -> str:
    (clone / "rollout.yaml").write_text(text)
    run_git(clone, "commit", "--quiet", "--all", f"--message={message}")
    return run_git(clone, "rev-parse", "HEAD")


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_a_repository_of_either_hash_is_read(tmp_path: Path, object_format: str) -> None:
    clone = make_clone(tmp_path, object_format=object_format)
    file, first = clone / "rollout.yaml", run_git(clone, "rev-parse", "HEAD")

    second = commit(clone, FIRST_FILE + "# more\n")

    assert read_head(file) == Head(second, "Change it", uncommitted=False)
    assert content_at(file, first) == FIRST_FILE.encode()
    assert relate(file, first, second) is Relation.AHEAD
    assert relate(file, second, first) is Relation.BEHIND


def test_a_folder_without_a_repository_has_no_head(tmp_path: Path) -> None:
    (tmp_path / "rollout.yaml").write_text(FIRST_FILE)

    assert read_head(tmp_path / "rollout.yaml") is None
    with pytest.raises(NoRepository):
        Repository.around(tmp_path / "rollout.yaml")


def test_a_broken_link_to_a_repository_is_not_taken_for_no_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nowhere/at/all\n")

    with pytest.raises(SetupInvalid, match="git cannot read the repository around"):
        read_head(tmp_path / "rollout.yaml")


def test_a_linked_worktree_is_read_at_its_own_commit(clone: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    run_git(clone, "worktree", "add", "--quiet", "--detach", str(linked))
    newest = commit(clone, FIRST_FILE + "# more\n")

    found = read_head(linked / "rollout.yaml")

    assert found is not None
    assert found.commit == run_git(clone, "rev-parse", f"{newest}~1")


@pytest.mark.parametrize("folder", ["$HOME", "~", "a b", "*", ":(glob)", "-x", "ü"])
def test_a_folder_with_an_odd_name_is_that_folder(clone: Path, folder: str) -> None:
    (clone / folder).mkdir()
    file = clone / folder / "rollout.yaml"
    file.write_text(FIRST_FILE)
    run_git(clone, "add", "--all")
    run_git(clone, "commit", "--quiet", "--message=Put it there")

    found = read_head(file)

    assert found is not None
    assert not found.uncommitted
    assert content_at(file, "HEAD") == FIRST_FILE.encode()


def test_a_file_that_is_too_large_in_a_commit_is_not_read(clone: Path) -> None:
    newest = commit(clone, "#" * (17 * 2**20))

    with pytest.raises(SetupInvalid, match=r"larger than 16 MiB"):
        content_at(clone / "rollout.yaml", newest)


def test_a_file_inside_the_git_folder_is_not_taken_for_a_committed_one(clone: Path) -> None:
    (clone / ".git" / "rollout.yaml").write_text(FIRST_FILE)

    with pytest.raises(SetupInvalid, match=r"inside \.git"):
        read_head(clone / ".git" / "rollout.yaml")


def test_a_working_tree_in_another_folder_is_refused_in_a_sentence(
    clone: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    run_git(clone, "config", "core.worktree", str(tmp_path / "elsewhere"))

    with pytest.raises(SetupInvalid, match="has its working tree in another folder"):
        read_head(clone / "rollout.yaml")


def test_a_worktree_of_a_bare_clone_and_a_submodule_are_read(clone: Path, tmp_path: Path) -> None:
    remote, bare, outer = tmp_path / "origin.git", tmp_path / "bare.git", tmp_path / "outer"
    run_git(tmp_path, "clone", "--quiet", "--bare", str(remote), str(bare))
    run_git(bare, "worktree", "add", "--quiet", str(tmp_path / "tree"), "main")
    run_git(tmp_path, "init", "--quiet", str(outer))
    allowed = ("-c", "protocol.file.allow=always")
    run_git(outer, *allowed, "submodule", "--quiet", "add", remote.as_uri(), "inner")
    newest = run_git(clone, "rev-parse", "HEAD")

    found = [read_head(tmp_path / each / "rollout.yaml") for each in ("tree", "outer/inner")]

    assert [head and head.commit for head in found] == [newest, newest]
