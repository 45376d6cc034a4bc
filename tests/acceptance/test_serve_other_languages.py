"""`reconcile serve` queried by the programs of docs/other-languages.md that need no provider."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.database.test_client import load
from tests.eventually import DEADLINE_SECONDS, eventually
from tests.ofrep_server import TOKEN, running_server
from tests.postgres import PROJECT, Database

PAGE = PROJECT / "docs" / "other-languages.md"
GSON = Path("/usr/share/java/gson.jar")
BUILD = {
    "eligible.go": ["go", "build", "eligible.go"],
    "Eligible.java": ["javac", "-cp", str(GSON), "Eligible.java"],
}
RUN = {
    "eligible.go": ["./eligible"],
    "Eligible.java": ["java", "-cp", f"{GSON}:.", "Eligible"],
}
HAS_GO = shutil.which("go") is not None
HAS_JAVA = shutil.which("javac") is not None and GSON.exists()
PROGRAMS = [
    pytest.param(
        "eligible.go",
        marks=pytest.mark.skipif(not HAS_GO, reason="there is no go: apt-get install golang-go"),
    ),
    pytest.param(
        "Eligible.java",
        marks=pytest.mark.skipif(
            not HAS_JAVA,
            reason="there is no javac or Gson: apt-get install default-jdk libgoogle-gson-java",
        ),
    ),
]


def built(folder: Path, program: str) -> None:
    """Write the page's program into the folder, and compile it."""
    block = rf'^```\w+ title="{re.escape(program)}"\n(.*?)^```$'
    found = re.search(block, PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    # A busy machine may take longer than the two seconds that a service should wait.
    patient = re.sub(r"\b2 \* time\.Second|\bofSeconds\(2\)", _patient, found[1])
    (folder / program).write_text(patient, "utf-8")
    printed(folder, BUILD[program], {})


def _patient(timeout: re.Match[str]) -> str:
    return timeout[0].replace("2", str(DEADLINE_SECONDS))


def printed(folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> str:
    ended = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_page_has_the_answer_and_a_no_without_one(
    database: Database, tmp_path: Path, program: str
) -> None:
    built(tmp_path, program)

    def asked(environment: Mapping[str, str], *arguments: str) -> str:
        return printed(tmp_path, [*RUN[program], *arguments], environment)

    load(database, rollout_percentage=100)
    with running_server("--database-url", database.url) as served:
        eventually(served.is_ready)
        environment = {"ROLLOUT_URL": served.url, "ROLLOUT_OFREP_TOKEN": TOKEN}
        assert asked(environment, "f", "acme/site") == "true"
        assert asked(environment, "f", 'acme/"none') == "false"
        assert asked(environment, "no such/feature", "acme/site") == "false"
        assert asked({**environment, "ROLLOUT_OFREP_TOKEN": "x"}, "f", "acme/site") == "false"
    assert asked(environment, "f", "acme/site") == "false"
