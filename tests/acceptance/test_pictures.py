"""The pictures of the README show what the program prints."""

import re
from pathlib import Path

import pytest

from scripts.pictures import PICTURES, draw

CHANGING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\b[0-9a-f]{7,40}\b"), "COMMIT"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"Date: .*?(?=<|\n)"), "DATE"),
    (re.compile(r' (?:x|textLength)="[\d.]+"'), ""),
)
"""What is different in each run."""


def lasting(picture: str) -> str:
    for pattern, replacement in CHANGING:
        picture = pattern.sub(replacement, picture)
    return picture


@pytest.mark.nightly
def test_the_pictures_are_what_the_program_prints(tmp_path: Path) -> None:
    for name, drawn in draw(tmp_path).items():
        written = (PICTURES / name).read_text("utf-8")
        assert lasting(written) == lasting(drawn), f"{name}: run make pictures"
