"""The pictures of the README show what the program prints, and those of the dashboard its screens."""

import re
from pathlib import Path

import pytest

from scripts.dashboard_pictures import SHOTS, take
from scripts.pictures import PICTURES, draw
from tests.browser import needs_browser

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


def size_of(picture: bytes) -> tuple[int, int]:
    """Return the width and the height in the header of a PNG."""
    assert picture.startswith(b"\x89PNG\r\n")
    return int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])


def test_every_picture_of_the_dashboard_is_there_and_on_its_page() -> None:
    page = (PICTURES.parent / "dashboard.md").read_text("utf-8")

    for name, shot in SHOTS.items():
        assert size_of((PICTURES / name).read_bytes()) == shot.size
        assert f"images/{name}" in page
    assert {each.name for each in PICTURES.glob("dashboard-*")} == set(SHOTS)


@needs_browser
@pytest.mark.nightly
def test_the_pictures_of_the_dashboard_can_be_taken_again(tmp_path: Path) -> None:
    taken = take(tmp_path)

    assert {name: size_of(picture) for name, picture in taken.items()} == {
        name: shot.size for name, shot in SHOTS.items()
    }
