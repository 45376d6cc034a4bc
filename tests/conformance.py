"""Conformance material, as others publish it: beside the project, or where `CONFORMANCE_DIR` says."""

import os
from pathlib import Path

import pytest

from tests.postgres import PROJECT

FOLDER = Path(os.environ.get("CONFORMANCE_DIR") or PROJECT.parent / "shared" / "conformance")


def require(name: str) -> Path:
    """One folder of it; the module that asks is skipped in a clone that stands alone.

    Where the material is there and this folder is not, something is broken, and that is no skip.
    """
    if not FOLDER.exists():
        pytest.skip(f"there is no conformance material in {FOLDER}", allow_module_level=True)
    assert (FOLDER / name).is_dir(), f"{FOLDER} has no {name}"
    return FOLDER / name
