"""A real browser, and the dashboard as a real process."""

import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Yield Debian's Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def dashboard(
    site: Site, *arguments: str, environment: "Mapping[str, str] | None" = None
) -> "Iterator[tuple[str, subprocess.Popen[str]]]":
    """Yield the address of a running dashboard over a site's database, and its process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "dashboard", "--listen", "127.0.0.1:0", *arguments],
        cwd=site.folder,
        env=site.environment(environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = next((line for line in process.stderr if line.startswith("serving ")), "it ended")
        found = re.fullmatch(r"serving (http://127\.0\.0\.1:[0-9]+)/\n", said)
        assert found is not None, said
        yield found[1], process
    finally:
        process.kill()
        process.communicate()
