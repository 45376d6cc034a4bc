"""The program as a process of its own, forked from one that has imported it already.

Importing takes longer than most runs do, and a test makes many. What depends on how an interpreter starts
(its locale, its options, what it imports) has to be run by `subprocess`.
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
    # What tests run in processes of their own imports this.
    "pytest",
    "reconciler.operations.write_back",
]

PROCESSES = multiprocessing.get_context("forkserver")
"""Makes processes quickly; there is one server for all tests of a worker, so one list of what it imports."""
PROCESSES.set_forkserver_preload(_PRELOADED)


@dataclass(frozen=True)
class Completed:
    """How a process ended and what it said."""

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
    """Start the program; its output goes to the files `1` and `2` of the folder of its streams."""
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
