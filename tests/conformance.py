"""Published conformance material: in a folder beside the project, or in `CONFORMANCE_DIR`."""

import os
from pathlib import Path

import pytest

from tests.postgres import PROJECT

FOLDER = Path(os.environ.get("CONFORMANCE_DIR") or PROJECT.parent / "shared" / "conformance")


def require(name: str) -> Path:
    """Return one folder of it; skip the calling module if this clone has no such material.

    If the material exists but this folder does not, that is an error and no skip.
    """
    if not FOLDER.exists():
        pytest.skip(f"there is no conformance material in {FOLDER}", allow_module_level=True)
    assert (FOLDER / name).is_dir(), f"{FOLDER} has no {name}"
    return FOLDER / name
