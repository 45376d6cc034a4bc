"""A site: a git repository with a remote, a rollout file and its own database.

Commands run as processes of the real program.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from reconciler.database.address import EMBEDDED_FOLDER
from reconciler.database.embedded import EmbeddedServer
from tests import program
from tests.postgres import PROJECT, Database
from tests.program import Completed

if TYPE_CHECKING:
    import pexpect

__all__ = ["FIRST_FILE", "Completed", "Site"]

FIRST_FILE = """\
version: 1
features:
  hybrid_progressive_capture:
    strategy: percentage
    percentage: 10
"""


@dataclass(frozen=True)
class Site:
    """A folder as a user has one, on branch `main`, with a bare remote `origin`."""

    folder: Path
    remote: Path
    database: Database
    started: list["subprocess.Popen[str]"] = field(default_factory=list)
    terminals: list["pexpect.spawn[str]"] = field(default_factory=list)

    @classmethod
    def make(cls, parent: Path, database: Database) -> "Site":
        """Make a site whose first file is committed and pushed, but not applied."""
        site = cls(parent / "site", parent / "origin.git", database)
        site.folder.mkdir()
        site.git("init", "--quiet", "--bare", "--initial-branch=main", str(site.remote))
        site.git("init", "--quiet", "--initial-branch=main")
        site.git("remote", "add", "origin", site.remote.as_uri())
        site.write(FIRST_FILE)
        site.commit("Declare the rollout")
        site.push()
        return site

    @classmethod
    def copied(cls, made: Path, parent: Path, database: Database) -> "Site":
        """Copy the site into another folder: one run of git instead of eight."""
        shutil.copytree(made, parent, dirs_exist_ok=True)
        site = cls(parent / "site", parent / "origin.git", database)
        site.git("remote", "set-url", "origin", site.remote.as_uri())
        return site

    @property
    def file(self) -> Path:
        return self.folder / "rollout.yaml"

    def write(self, text: str) -> None:
        """Replace the text of the rollout file, byte for byte."""
        self.file.write_bytes(text.encode())

    def replace(self, old: str, new: str) -> None:
        """Replace one part of the rollout file."""
        text = self.file.read_bytes().decode()
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        self.write(text.replace(old, new))

    def git(self, *arguments: str) -> str:
        """Return what git prints for these arguments in the site's folder."""
        return subprocess.run(
            ["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, message: str) -> str:
        """Commit everything; return the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def push(self) -> None:
        self.git("push", "--quiet", "--set-upstream", "origin", "HEAD")

    def remote_text(self, branch: str = "main") -> str:
        """Return the rollout file on a branch of the remote."""
        return subprocess.run(
            ["git", "--git-dir", str(self.remote), "show", f"{branch}:rollout.yaml"],
            check=True,
            capture_output=True,
        ).stdout.decode()

    def environment(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """Return the environment of a process in this site; `changes` adds variables, or removes by None."""
        variables: dict[str, str | None] = {
            **os.environ,
            "DATABASE_URL": self.database.url,
            "PYTHONPATH": str(PROJECT),
            **changes,
        }
        return {name: value for name, value in variables.items() if value is not None}

    def reconcile(
        self,
        *arguments: str,
        env: Mapping[str, str | None] | None = None,
        stdin: str | None = None,
        timeout: float = 120,
    ) -> Completed:
        """Run the program to its end, without a terminal; `env` adds variables, or removes by None."""
        return program.run(
            arguments,
            folder=self.folder,
            environment=self.environment(env or {}),
            stdin=stdin or "",
            timeout=timeout,
        )

    def start(
        self, *arguments: str, env: Mapping[str, str | None] | None = None
    ) -> "subprocess.Popen[str]":
        """Start the program, for tests that act while it runs; kill it at the end of the test."""
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.folder,
            env=self.environment(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        self.started.append(process)
        return process

    @contextmanager
    def run_to_kill(self, *arguments: str) -> Iterator[BaseProcess]:
        """Start the program in a process that has already imported it; kill it at the end of the test."""
        with TemporaryDirectory() as streams:
            process = program.start(
                arguments,
                folder=self.folder,
                environment=self.environment({}),
                stdin="",
                streams=streams,
            )
            try:
                yield process
            finally:
                process.kill()
                process.join()

    def end(self) -> None:
        """End all processes that are still running, also the embedded server."""
        for terminal in self.terminals:
            terminal.close(force=True)
        for process in self.started:
            process.kill()
            process.communicate()
        EmbeddedServer(self.folder / EMBEDDED_FOLDER).stop()
