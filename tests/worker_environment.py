"""The environment of a worker: the client's wheel, and what a service needs beside it, and no reconciler.

Packages are copied from the environment of the tests, so that no index is asked.
"""

import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution, entry_points
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.postgres import PROJECT

CLIENT = PROJECT / "rollout_client"


def build_wheel(project: Path, folder: Path) -> Path:
    """The wheel of one of the two distributions, as a release builds it."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=project,
        check=True,
        capture_output=True,
    )
    name = "rollout_client" if project == CLIENT else "rollout_reconciler"
    (wheel,) = folder.glob(f"{name}-*.whl")
    return wheel


@dataclass(frozen=True)
class WorkerEnvironment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        (found,) = self.folder.glob("lib/python3.*/site-packages")
        return found

    @property
    def installed(self) -> set[str]:
        """The names of what is installed."""
        return {path.name.split("-")[0] for path in self.site_packages.glob("*.dist-info")}

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run Python in an empty folder, so that nothing of the project is found."""
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env={"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @classmethod
    def make(cls, folder: Path, *requirements: str) -> "WorkerEnvironment":
        """An environment with these requirements and all that they need, without their metadata's rest."""
        venv.create(folder, symlinks=True)
        made = cls(folder)
        for each in _needed(requirements):
            _copy(each, made.site_packages)
            made.write_scripts(each.metadata["Name"])
        return made

    def install(self, *wheels: Path) -> None:
        """Install wheels, and no requirement of theirs."""
        subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "uv",
                    "pip",
                    "install",
                    "--quiet",
                    "--offline",
                    "--no-deps",
                ),
                *("--no-cache", "--python", str(self.python), *map(str, wheels)),
            ],
            check=True,
            env={"PATH": "/usr/bin:/bin"},
        )

    def write_scripts(self, name: str) -> None:
        """Write the programs of a distribution."""
        for each in entry_points(group="console_scripts"):
            if each.dist is not None and each.dist.metadata["Name"] == name:
                script = self.folder / "bin" / each.name
                module, _, function = each.value.partition(":")
                script.write_text(
                    f"#!{self.python}\nimport sys\nfrom {module} import {function}\n"
                    f"if __name__ == '__main__':\n    sys.argv[0] = {each.name!r}\n    sys.exit({function}())\n"
                )
                script.chmod(0o755)


def _needed(requirements: tuple[str, ...]) -> Iterator[Distribution]:
    """These requirements, and theirs, each once."""
    waiting = [Requirement(each) for each in requirements]
    seen: set[tuple[str, str]] = set()
    copied: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        found = distribution(name)
        if name not in copied:
            copied.add(name)
            yield found
        for extra in ["", *requirement.extras]:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for line in found.requires or ():
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    waiting.append(needed)


def _copy(source: Distribution, site_packages: Path) -> None:
    tops = {
        path.parts[0]
        for path in source.files or ()
        if path.parts[0] not in ("..", "__pycache__") and not re.match(r".*\.pth$", path.parts[0])
    }
    for top in tops:
        found = Path(str(source.locate_file(top)))
        if found.is_dir():
            shutil.copytree(found, site_packages / top, dirs_exist_ok=True, symlinks=True)
        else:
            shutil.copy2(found, site_packages / top)
