"""Records of contracts: sorted lines of text, compared line by line."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

RECORDS: Final = Path(__file__).parent / "record"
WRITE: Final = "WRITE_CONTRACTS"
"""The environment variable that `python -m tests.contracts` sets: records are written, not compared."""


def check_lines(name: str, lines: Iterable[str]) -> None:
    """Compare lines with a record; their order is ignored."""
    _check(f"{name}.txt", "".join(f"{line}\n" for line in sorted(set(lines))))


def check_json(name: str, value: Any) -> None:
    """Compare a value with a record."""
    _check(f"{name}.json", json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def _check(name: str, text: str) -> None:
    path = RECORDS / name
    if WRITE in os.environ:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return
    recorded = path.read_text("utf-8").splitlines()
    found = text.splitlines()
    assert found == recorded, (
        f"this is not what {path.name} records; "
        "if the contract is to change: python -m tests.contracts, and commit the record"
    )
