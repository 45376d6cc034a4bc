"""A file is replaced in one step: completely and with its mode, or not at all."""

import stat
from pathlib import Path

import pytest

from reconciler.errors import SetupInvalid
from rollout_client.atomic_write import create_file, replace_file


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)

    replace_file(path, b"new\r\n")

    assert path.read_bytes() == b"new\r\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_an_existing_file_is_not_created(tmp_path: Path) -> None:
    path = tmp_path / "file"
    create_file(path, b"first", instead="")

    with pytest.raises(SetupInvalid, match="file is there already and stays as it is; move it"):
        create_file(path, b"second", instead="move it")

    assert path.read_bytes() == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_file_is_created_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, _target: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "file"
    create_file(path, b"first", instead="")

    with pytest.raises(SetupInvalid, match="file is there already"):
        create_file(path, b"second", instead="")

    assert path.read_bytes() == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(SetupInvalid, match="folder cannot be written"):
        replace_file(tmp_path / "folder", b"text")

    assert [each.name for each in tmp_path.iterdir()] == ["folder"]
