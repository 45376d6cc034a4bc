"""Take the pictures of the dashboard for the documentation, of a new demo with a day of jobs.

`python scripts/dashboard_pictures.py` writes them to `docs/images`; it needs Debian's Chromium. Numbers and
times differ in each run, so that a test compares the names of the pictures and their sizes alone.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PICTURES = PROJECT / "docs" / "images"
WIDE = (1280, 800)
NARROW = (390, 800)


@dataclass(frozen=True)
class Picture:
    """One picture: a screen at a size in a mode."""

    path: str
    size: tuple[int, int]
    mode: str


SHOTS: Mapping[str, Picture] = {
    "dashboard-now.png": Picture("/", WIDE, "light"),
    "dashboard-feature.png": Picture("/features/capture", WIDE, "light"),
    "dashboard-repository.png": Picture("/repositories?q=northwind/catalog", WIDE, "light"),
    "dashboard-waiting.png": Picture("/waiting", WIDE, "dark"),
    "dashboard-phone.png": Picture("/features/capture", NARROW, "dark"),
}


def take(folder: Path) -> Mapping[str, bytes]:
    """Make a demo in a new folder, and return each picture by its file's name."""
    trial = folder / "trial"
    variables = _environment(folder)
    _run(variables, folder, "demo", "--with-jobs", str(trial))
    try:
        with _serving(variables, trial) as address:
            return dict(_shots(address))
    finally:
        _run(variables, trial, "db", "stop")


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    variables = {**kept, "PYTHONPATH": str(PROJECT), "HOME": str(folder)}
    for name in ("DATABASE_URL", "ROLLOUT_FILE", "ROLLOUT_ACTOR"):
        variables.pop(name, None)
    return variables


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "reconciler", *arguments]


def _run(variables: Mapping[str, str], folder: Path, *arguments: str) -> None:
    subprocess.run(_command(*arguments), cwd=folder, env=variables, check=True, capture_output=True)


@contextmanager
def _serving(variables: Mapping[str, str], folder: Path) -> Iterator[str]:
    process = subprocess.Popen(
        _command("dashboard", "--listen", "127.0.0.1:0"),
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        lines = (re.fullmatch(r"serving (http://\S+)/\n", line) for line in process.stderr)
        yield next(found[1] for found in lines if found is not None)
    finally:
        process.terminate()
        process.communicate()


def _shots(address: str) -> Iterator[tuple[str, bytes]]:
    from playwright.sync_api import ViewportSize, sync_playwright

    with sync_playwright() as playwright:
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, shot in SHOTS.items():
            width, height = shot.size
            page = browser.new_page(
                viewport=ViewportSize(width=width, height=height),
                color_scheme="dark" if shot.mode == "dark" else "light",
                timezone_id="UTC",
                locale="en-GB",
            )
            page.goto(f"{address}{shot.path}")
            if page.locator("main[data-live]").count():
                page.get_by_text("Live, as of").wait_for()
                page.get_by_text("not counted yet").wait_for(state="detached")
            yield name, page.screenshot()
            page.close()
        browser.close()


def main() -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        for name, picture in take(Path(folder)).items():
            (PICTURES / name).write_bytes(picture)


if __name__ == "__main__":
    main()
