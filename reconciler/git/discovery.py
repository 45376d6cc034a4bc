"""Finding the top folder of a repository without git."""

import os
from pathlib import Path


def find_top(folder: Path) -> Path | None:
    """Return the nearest folder, from this one upwards, with an entry `.git`; None if there is none.

    A commit cannot bring an entry of that name into a working tree. A folder without such a folder
    above it is outside git; otherwise git decides.
    """
    physical = folder.resolve()
    above = (physical, *physical.parents)
    return next((each for each in above if os.path.lexists(each / ".git")), None)
