"""Run workflows as GitHub would: by act, on this machine, with local stand-ins of the actions.

A job can change only what belongs to the test: the remote, the database, the API, home and caches.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.github.server import REPOSITORY, TOKEN, Asked, FakeGitHub
from tests.postgres import PROJECT
from tests.site import Site

ACTIONS = Path(__file__).with_name("actions")
WORKFLOWS = PROJECT / ".github" / "workflows"
LIBRARY = "acme/rollout-reconciler@0000000000000000000000000000000000000000"
"""The prefix with which callers name this project's workflows."""

_REPOSITORY_OF_EVENT = {
    "repository": {
        "full_name": REPOSITORY,
        "name": REPOSITORY.partition("/")[2],
        "owner": {"login": REPOSITORY.partition("/")[0]},
        "default_branch": "main",
    }
}
_ENDED = re.compile(r"^\[([^\]]+)\] 🏁 ", re.MULTILINE)
_NEEDED = (
    ("/issues/(comments/)?[0-9]+(/comments)?$", ("issues", "pull-requests")),
    ("/issues$", ("issues",)),
    ("/pulls", ("pull-requests",)),
    ("/actions/", ("actions",)),
    ("/compare/", ("contents",)),
)
"""The permission of the token that a path needs, to read or to write."""

_USES = re.compile(
    r"uses: (actions/(checkout|upload-artifact|download-artifact|attest)|astral-sh/(setup-uv))@([0-9a-f]{40}) "
)


@dataclass(frozen=True)
class Run:
    """The end of a run and its results."""

    succeeded: bool
    jobs: frozenset[str]
    """The jobs that ran, including those of called workflows."""
    log: str
    summary: str
    commands: list[str]
    """The arguments of each call of `reconcile`, in order."""
    environment: str
    """The variables of each call of `reconcile`."""
    artifacts: dict[str, bytes]


@dataclass(frozen=True)
class Runner:
    """Runs workflows of this project, or of callers in the site's repository."""

    site: Site
    github: FakeGitHub
    folder: Path

    def run(
        self,
        workflow: str,
        event_name: str,
        event: Mapping[str, Any],
        secrets: Mapping[str, str] | None = None,
    ) -> Run:
        """Run a workflow for an event: this project's own by its name, or the file at a path."""
        path = WORKFLOWS / workflow if "/" not in workflow else self.site.folder / workflow
        state = self.folder / f"run-{len(list(self.folder.glob('run-*')))}"
        (state / "home").mkdir(parents=True)
        (state / "event.json").write_text(json.dumps({**_REPOSITORY_OF_EVENT, **event}))
        (state / "secrets").write_text(_as_dotenv({"GITHUB_TOKEN": TOKEN, **(secrets or {})}))
        asked_before = len(self.github.asked)
        done = subprocess.run(
            [
                act(),
                event_name,
                *("--workflows", str(path)),
                *("--eventpath", str(state / "event.json")),
                *("--platform", "ubuntu-latest=-self-hosted"),
                *("--secret-file", str(state / "secrets")),
                *("--directory", str(self.site.folder)),
                *("--var", "ROLLOUT_REQUIREMENTS=requirements.txt"),
                *("--concurrent-jobs", "1"),
                "--no-skip-checkout",
                "--no-cache-server",
                "--log-prefix-job-id",
                *self._variables(state),
                *self._repositories(),
            ],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(state / "home"),
                "XDG_CACHE_HOME": str(state / "cache"),
                "TMPDIR": str(state),
                "LC_ALL": "C.UTF-8",
                "GIT_CONFIG_NOSYSTEM": "1",
            },
            input=None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        jobs = frozenset(_ENDED.findall(done.stdout))
        granted = frozenset[str]().union(*(_granted(path, job) for job in jobs))
        for asked in self.github.asked[asked_before:]:
            needed = _needed(asked)
            assert not needed or needed & granted, f"{asked} needs one of {set(needed)}"
        return Run(
            succeeded=done.returncode == 0,
            jobs=jobs,
            log=done.stdout,
            summary=_text(state / "summary"),
            commands=_text(state / "reconcile").splitlines(),
            environment=_text(state / "environment"),
            artifacts={each.stem: each.read_bytes() for each in state.glob("*.zip")},
        )

    def _variables(self, state: Path) -> list[str]:
        variables = {
            **self.github.environment(),
            "TEST_FOLDER": str(state),
            "TEST_PROJECT": str(PROJECT),
            "TEST_PYTHON": sys.executable,
            "TEST_REMOTE": self.site.remote.as_uri(),
        }
        del variables["GITHUB_TOKEN"]
        return [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]

    def _repositories(self) -> list[str]:
        found = {LIBRARY: PROJECT}
        for file in WORKFLOWS.glob("*.yml"):
            for name, *last, commit in _USES.findall(file.read_text()):
                found[f"{name}@{commit}"] = ACTIONS / "".join(last)
        return [
            part
            for name, path in found.items()
            for part in ("--local-repository", f"{name}={path}")
        ]


def act() -> str:
    """Return the program that runs workflows; it is installed beside this Python's programs."""
    found = shutil.which("act", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert found is not None, "act is not installed: make test installs it"
    return found


def _needed(asked: Asked) -> frozenset[str]:
    for pattern, names in _NEEDED:
        if re.search(pattern, asked.path):
            access = ("read", "write") if asked.method == "GET" else ("write",)
            return frozenset(f"{name}: {each}" for name in names for each in access)
    return frozenset()


def _granted(path: Path, job: str) -> frozenset[str]:
    """Return the permissions of a job's token: of its workflow, and of the caller of that workflow."""
    for caller in _jobs(path).values():
        called = _jobs(WORKFLOWS / caller.get("uses", "").partition("@")[0].rpartition("/")[2])
        if job in called:
            given, wanted = _flat(caller["permissions"]), _flat(called[job]["permissions"])
            assert wanted <= given, f"{path.name} gives {job} too little: {wanted - given}"
            return wanted
    return _flat(_jobs(path)[job]["permissions"])


def _jobs(workflow: Path) -> Mapping[str, Any]:
    jobs: Mapping[str, Any] = (
        yaml.safe_load(workflow.read_text())["jobs"] if workflow.is_file() else {}
    )
    return jobs


def _flat(permissions: Mapping[str, str]) -> frozenset[str]:
    return frozenset(f"{name}: {access}" for name, access in permissions.items())


def _as_dotenv(values: Mapping[str, str]) -> str:
    return "".join(f"{name}='{value}'\n" for name, value in values.items())


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""
