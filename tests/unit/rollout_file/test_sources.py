"""Paths of other kinds than a regular file: they are refused, and reading never hangs."""

import os
import socket
from pathlib import Path

import pytest

from reconciler.errors import FileInvalid, SetupInvalid
from reconciler.rollout_file import read_rollout_file

VALID = "version: 1\n"


def refusal(path: Path) -> str:
    with pytest.raises(FileInvalid) as raised:
        read_rollout_file(path)
    return str(raised.value)


def test_a_missing_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    file = tmp_path / "rollout.yaml"

    with pytest.raises(SetupInvalid) as raised:
        read_rollout_file(file)

    assert str(raised.value) == (
        f"{file}: the file does not exist; write a first one with `reconcile init`, "
        "or name another with --file"
    )


def test_a_symlink_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text(VALID)
    link = tmp_path / "rollout.yaml"
    link.symlink_to("secret.yaml")

    assert refusal(link) == (
        f"{link}:1:1: this is a symlink, which is not followed; put the file itself here"
    )


def test_a_symlink_to_nowhere_is_refused_as_a_symlink(tmp_path: Path) -> None:
    link = tmp_path / "rollout.yaml"
    link.symlink_to("nowhere")

    assert "this is a symlink" in refusal(link)


def test_a_folder_may_be_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "rollout.yaml").write_text(VALID)
    (tmp_path / "link").symlink_to("real")

    assert read_rollout_file(tmp_path / "link" / "rollout.yaml").rollout.version == 1


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    pipe = tmp_path / "rollout.yaml"
    os.mkfifo(pipe)

    assert "this is not a regular file" in refusal(pipe)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "this is not a regular file" in refusal(tmp_path)


def test_a_device_is_refused() -> None:
    assert "this is not a regular file" in refusal(Path("/dev/zero"))


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("rollout.yaml")

        assert "this is not a regular file" in refusal(Path("rollout.yaml"))


@pytest.mark.parametrize("name", ["file/rollout.yaml", "x" * 300, "a\0b"])
def test_an_open_error_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text(VALID)

    with pytest.raises(SetupInvalid) as raised:
        read_rollout_file(tmp_path / name)

    assert "\n" not in str(raised.value)
    assert "name another with --file" in str(raised.value)


def test_an_unreadable_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read every file, so the refusal is simulated."""
    file = tmp_path / "rollout.yaml"

    def refuse(*arguments: object) -> int:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(os, "open", refuse)

    with pytest.raises(SetupInvalid) as raised:
        read_rollout_file(file)

    assert str(raised.value) == (
        f"{file}: Permission denied; make the file readable, or name another with --file"
    )
