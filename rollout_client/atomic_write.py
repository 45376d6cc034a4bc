"""Writing a whole file in one step: whoever looks sees the old one, or none, or all of the new.

The new content is written beside the file, brought to the disk, and then takes the file's name.
"""

import glob
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rollout_client.errors import SetupInvalid

_LEFTOVER_AFTER_SECONDS: Final = 600.0
"""A file that is still being written is younger."""
_RANDOM_LENGTH: Final = 8
"""Of the random part that `tempfile` gives a name."""


def replace_file(path: Path, *parts: bytes, mode: int | None = None) -> None:
    """Write a file, in place of the one that is there; without a `mode`, that of the old one is kept.

    Raises:
        SetupInvalid: it can't be written.
    """
    with _written_beside(path, parts, mode) as temporary:
        temporary.replace(path)


def create_file(path: Path, content: bytes, *, instead: str) -> None:
    """Write a file where there is none yet; `instead` is what to do where there is one.

    Raises:
        SetupInvalid: something is there already, or it can't be written.
    """
    with _written_beside(path, (content,), None) as temporary:
        try:
            _take_name(path, temporary)
        except FileExistsError:
            raise SetupInvalid(f"{path} is there already and stays as it is; {instead}") from None


def _take_name(path: Path, temporary: Path) -> None:
    try:
        # A link is refused where something is there, without a moment in between.
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # No links here, as on FAT: the name is taken first, and then filled.
        path.touch(exist_ok=False)
        temporary.replace(path)


def remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed while they wrote this file left beside it."""
    oldest = time.time() - _LEFTOVER_AFTER_SECONDS
    # Another process may remove them too, or the folder may not be readable.
    with suppress(OSError):
        for temporary in path.parent.glob(f".{glob.escape(path.name)}.{'?' * _RANDOM_LENGTH}"):
            if temporary.stat().st_mtime < oldest:
                temporary.unlink()


@contextmanager
def _written_beside(path: Path, parts: tuple[bytes, ...], mode: int | None) -> Iterator[Path]:
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(parts)
                file.flush()
                temporary.chmod(_mode(path) if mode is None else mode)
                os.fsync(file.fileno())
            yield temporary
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        _sync_folder(path.parent)
    except OSError as error:
        raise SetupInvalid(f"{path} cannot be written: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk too, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _mode(path: Path) -> int:
    """Return the mode of the file that is there, or of a new one."""
    try:
        return path.stat().st_mode & 0o7777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
