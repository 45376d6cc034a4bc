"""Files with secrets: refused where other accounts can read them."""

import os
import stat
from pathlib import Path
from typing import Final

from reconciler.errors import SetupInvalid

_MOST_BYTES: Final = 1_000_000
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
