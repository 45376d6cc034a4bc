"""Files with secrets: refused where other accounts can read them, read again when they change."""

import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from reconciler.errors import SetupInvalid

Content = TypeVar("Content")

_LOG = logging.getLogger("reconciler.dashboard")
_MOST_BYTES: Final = 1_000_000
_LOOK_EVERY_SECONDS: Final = 1.0
_OF_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OF_A_MOUNTED_SECRET: Final = stat.S_IWGRP | stat.S_IRWXO


def read_private(path: Path) -> bytes:
    """Return the content of a file that its owner alone can read.

    The group may read a file of root: a secret that a cluster mounts for the group of a container.

    Raises:
        SetupInvalid: it cannot be read, or other accounts can read it.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            is_mounted = status.st_uid == 0 and os.geteuid() != 0
            if stat.S_IMODE(status.st_mode) & (_OF_A_MOUNTED_SECRET if is_mounted else _OF_OTHERS):
                raise SetupInvalid(f"{path}: other accounts can read it; chmod 600 {path}")
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SetupInvalid(f"{path}: it cannot be read: {error.strerror}; give a file") from None
    if len(content) > _MOST_BYTES:
        raise SetupInvalid(f"{path}: it is too long; a file of secrets has at most 1 MB")
    return content


class WatchedFile(Generic[Content]):
    """The parsed content of a private file, as of at most a second ago.

    While the file cannot be read, the earlier content counts: a file may be missing while it is replaced.
    """

    def __init__(self, path: Path, parse: Callable[[Path, bytes], Content]) -> None:
        """Read the file.

        Raises:
            SetupInvalid: it cannot be read, or `parse` refuses it.
        """
        self._path, self._parse = path, parse
        self._seen = self._stamp()
        self._content = parse(path, read_private(path))
        self._look_at = time.monotonic() + _LOOK_EVERY_SECONDS

    def current(self) -> Content:
        """Return the content."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_EVERY_SECONDS
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                try:
                    self._content = self._parse(self._path, read_private(self._path))
                except SetupInvalid as error:
                    _LOG.warning("%s; its earlier content still counts", error)
        return self._content

    def _stamp(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return status.st_ino, status.st_mtime_ns, status.st_size
