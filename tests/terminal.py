"""The program at a real terminal of a given width."""

import os
import sys
from collections.abc import Mapping

import pexpect
import psutil

from tests.eventually import eventually
from tests.postgres import PROJECT
from tests.site import Site

TIMEOUT_SECONDS = 60


def at_terminal(
    site: Site, *arguments: str, columns: int = 100, env: Mapping[str, str] | None = None
) -> "pexpect.spawn[str]":
    """Start the program in a site's folder, on its own terminal."""
    return start(site, sys.executable, ["-m", "reconciler", *arguments], columns, env or {})


def start(
    site: Site, program: str, arguments: list[str], columns: int, env: Mapping[str, str]
) -> "pexpect.spawn[str]":
    """Start any program on its own terminal; kill it at the end of the test."""
    terminal = pexpect.spawn(
        program,
        arguments,
        cwd=str(site.folder),
        env={
            **os.environ,
            "DATABASE_URL": site.database.url,
            "PYTHONPATH": str(PROJECT),
            "TERM": "xterm",
            "PAGER": "cat",
            **env,
        },
        dimensions=(50, columns),
        encoding="utf-8",
        timeout=TIMEOUT_SECONDS,
    )
    site.terminals.append(terminal)
    return terminal


def interrupt(terminal: "pexpect.spawn[str]") -> None:
    """Press Ctrl-C while the program waits at its terminal.

    Python loses a Ctrl-C between its prompt and the following read until a key is pressed: the flag
    is set, and the read does not look at it.
    """
    process = psutil.Process(terminal.pid)
    eventually(lambda: process.status() == psutil.STATUS_SLEEPING)
    terminal.sendintr()
