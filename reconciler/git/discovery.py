"""Where the repository around a folder begins, found without git."""

import os
from pathlib import Path


def find_top(folder: Path) -> Path | None:
    """Return the nearest folder, from this one upwards, that has an entry `.git`; None where none has.

    Nothing that a commit can bring into a working tree has that name. A folder without one above it is
    outside git; with one, git decides.
    """
    physical = folder.resolve()
    above = (physical, *physical.parents)
    return next((each for each in above if os.path.lexists(each / ".git")), None)
