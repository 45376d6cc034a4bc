"""The program as a separate process, forked from one that has already imported it.

Importing takes longer than most runs, and a test makes many runs. Use `subprocess` for tests of the
start of an interpreter: its locale, its options, its imports.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

_PRELOADED = [
    "reconciler.cli.main",
    "reconciler.cli.apply_flow",
    "reconciler.cli.render.plan_markdown",
    "reconciler.cli.render.plan_text",
    "reconciler.database.embedded",
    "reconciler.planning.report",
    "reconciler.operations.safeguard",
    "reconciler.operations.verify",
    "alembic.command",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    # Processes started by tests import this.
    "pytest",
    "reconciler.operations.write_back",
]

PROCESSES = multiprocessing.get_context("forkserver")
"""Creates processes fast; all tests of a worker share one server, so one list of imports."""
PROCESSES.set_forkserver_preload(_PRELOADED)


@dataclass(frozen=True)
class Completed:
    """The exit code and the output of a process."""

    exit_code: int
    stdout: str
    stderr: str


def run(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdin: str,
    timeout: float,
) -> Completed:
    """Run the program to its end, without a terminal."""
    with tempfile.TemporaryDirectory() as streams:
        process = start(
            arguments, folder=folder, environment=environment, stdin=stdin, streams=streams
        )
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"reconcile {' '.join(arguments)} took over {timeout} s")
        said = (Path(streams, each).read_bytes().decode() for each in "12")
        return Completed(process.exitcode, *said)


def start(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdin: str,
    streams: str,
) -> BaseProcess:
    """Start the program; its output goes to the files `1` and `2` of its streams folder."""
    Path(streams, "0").write_text(stdin, encoding="utf-8")
    process = PROCESSES.Process(
        target=_main, args=(list(arguments), str(folder), dict(environment), streams)
    )
    process.start()
    return process


def _main(arguments: list[str], folder: str, environment: dict[str, str], streams: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    for number, flags in enumerate(
        (os.O_RDONLY, os.O_CREAT | os.O_WRONLY, os.O_CREAT | os.O_WRONLY)
    ):
        opened = os.open(f"{streams}/{number}", flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - the process's own
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    from reconciler.cli.main import main

    main(arguments)
