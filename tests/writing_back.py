"""Write-back as tests call it, and the state of a remote's branch afterwards."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from reconciler.database.transactions import Database
from reconciler.operations.reconcile import apply, read_source
from reconciler.operations.write_back import WriteBackReport, write_back
from reconciler.planning.application import Application
from reconciler.planning.plan import Plan
from reconciler.rollout_file import parse_rollout, read_rollout_file
from reconciler.rollout_file.override import Override
from tests.overrides import FEATURE
from tests.site import Site


def carry(site: Site, **options: Any) -> WriteBackReport:
    """Run one pass of write-back in this process."""
    return write_back(Database.at(site.database.address), site.file, **options)


def apply_file(site: Site) -> Plan:
    """Apply the checked-out file of the site in this process; return the applied plan."""
    document = read_rollout_file(site.file)
    application = Application(read_source(document), document.rollout, applied_by="a test")
    applied = apply(Database.at(site.database.address), application)
    assert not applied.plan.is_refused
    return applied.plan


def outcomes(report: WriteBackReport) -> list[str]:
    return [each.outcome.value for each in report.overrides]


@dataclass(frozen=True)
class Commit:
    """A commit of the remote's branch."""

    id: str
    author: str
    committer: str
    message: str
    override: str
    feature: str


def commits(site: Site, branch: str = "main") -> list[Commit]:
    """Return the commits of a branch of the remote, the newest first."""
    fields = (
        "%H",
        "%an",
        "%cn",
        "%B",
        "%(trailers:key=Override-Id,valueonly,separator=%x20)",
        "%(trailers:key=Rollout-Feature,valueonly,separator=%x20)",
    )
    log = remote_git(site.remote, "log", "-z", f"--format={'%x01'.join(fields)}", branch)
    return [Commit(*entry.split("\x01")) for entry in log.split("\0") if entry]


def block(site: Site, feature: str = FEATURE, branch: str = "main") -> Override | None:
    """Return the override of a feature in the file on a branch of the remote."""
    return parse_rollout(site.remote_text(branch)).rollout.features[feature].override


def entered(site: Site, override: UUID) -> int:
    """Return how many commits of the branch changed the number of uses of an id in the file."""
    return len(
        remote_git(
            site.remote, "log", "--format=%H", f"-S{override}", "main", "--", "rollout.yaml"
        ).split()
    )


def remote_git(remote: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "--git-dir", str(remote), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip("\n")
