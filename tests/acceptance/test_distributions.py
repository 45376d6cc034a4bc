"""The two distributions, each from its wheel in an environment of its own."""

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import reconciler.client
import reconciler.client.testing
import reconciler.openfeature
import rollout_client.openfeature
import rollout_client.testing
from reconciler import __version__
from tests.postgres import PROJECT, Database
from tests.processes.programs import REPOSITORY, load, recorded
from tests.worker_environment import CLIENT, WorkerEnvironment, build_wheel

if TYPE_CHECKING:
    from email.message import Message

MOST_BYTES = 15_000_000
SERVICE = """
import sys
from rollout_client import RolloutClient

url, repository = sys.argv[1:]
with RolloutClient(url, features=["f"]) as client:
    assert client.is_eligible(repository, "f")
    assert client.explain("acme/site", "f").rule == "percentage_strategy"
    assert client.record(repository, "f", "github_actions", succeeded=True)
assert client.status().failure is None, client.status()
assert "reconciler" not in sys.modules
"""
TOOLKITS = """
import sys
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from rollout_client import RolloutClient
from rollout_client.integrations.opentelemetry import instrument
from rollout_client.openfeature import RolloutProvider

url, repository = sys.argv[1:]
client = RolloutClient(url)
instrument(client)
api.set_provider_and_wait(RolloutProvider(client))
assert api.get_client().get_boolean_value("f", False, EvaluationContext(repository))
assert client.record(repository, "f", "github_actions", succeeded=True, wait=True)
api.shutdown()
"""
TESTS = """
import pytest
from rollout_client.testing import FakeRolloutClient

def test_decides(fake_rollout_client):
    fake_rollout_client.set_eligible({"f": ["acme/*"]})
    assert fake_rollout_client.is_eligible("acme/site", "f")
    assert fake_rollout_client.record("acme/site", "f", "github_actions", succeeded=True)
    assert [each.succeeded for each in fake_rollout_client.outcomes] == [True]

def test_says_what_reads_a_file():
    with pytest.raises(RuntimeError, match="run pip install rollout-reconciler"):
        FakeRolloutClient.from_file("rollout.yaml")
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    return {"client": build_wheel(CLIENT, folder), "reconciler": build_wheel(PROJECT, folder)}


def metadata(wheel: Path) -> "Message[str, str]":
    with zipfile.ZipFile(wheel) as content:
        (name,) = (each for each in content.namelist() if each.endswith(".dist-info/METADATA"))
        return Parser().parsestr(content.read(name).decode())


def test_the_client_decides_records_and_ends_from_its_wheel_alone(
    wheels: dict[str, Path], database: Database, tmp_path: Path
) -> None:
    load(database)
    environment = WorkerEnvironment.make(tmp_path / "environment", "psycopg[binary]")
    environment.install(wheels["client"])

    ended = environment.run("-c", SERVICE, database.url, REPOSITORY)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert recorded(database) == 1
    assert environment.installed - {"typing_extensions", "tzdata"} == {
        "psycopg",
        "psycopg_binary",
        "rollout_client",
    }
    files = (each for each in environment.site_packages.rglob("*") if each.is_file())
    assert sum(each.stat().st_size for each in files) < MOST_BYTES


def test_the_tests_of_a_service_use_the_fake_from_the_wheel(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    environment = WorkerEnvironment.make(tmp_path / "environment", "psycopg[binary]", "pytest")
    environment.install(wheels["client"])
    (tmp_path / "test_service.py").write_text(TESTS)

    ended = environment.run("-m", "pytest", "-q", str(tmp_path / "test_service.py"))

    assert ended.returncode == 0, ended.stdout
    assert "2 passed" in ended.stdout


def test_the_wheels_share_a_version_and_no_file(wheels: dict[str, Path]) -> None:
    files = {}
    for name, wheel in wheels.items():
        with zipfile.ZipFile(wheel) as content:
            files[name] = {each for each in content.namelist() if not each.endswith("/")}
    assert files["client"].isdisjoint(files["reconciler"])

    versions = {metadata(wheel)["Version"] for wheel in wheels.values()}
    assert versions == {__version__}
    needed = metadata(wheels["reconciler"]).get_all("Requires-Dist") or []
    assert f"rollout-client=={__version__}" in needed


def test_the_client_sets_no_upper_bound(wheels: dict[str, Path]) -> None:
    needed = metadata(wheels["client"]).get_all("Requires-Dist") or []
    always = [each for each in needed if "extra ==" not in each]

    assert [re.split(r"\W", each)[0] for each in always] == ["psycopg"]
    assert not [each for each in needed if "<" in each or "==" in each.partition(";")[0]]


def test_both_names_of_the_client_have_the_same_objects() -> None:
    for old, new in (
        (reconciler.client, rollout_client),
        (reconciler.openfeature, rollout_client.openfeature),
    ):
        assert all(getattr(old, name) is getattr(new, name) for name in new.__all__)
    assert reconciler.client.testing.FakeRolloutClient is rollout_client.testing.FakeRolloutClient


def test_without_the_extra_a_command_names_the_line_to_run(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    needed = [
        each
        for each in metadata(wheels["reconciler"]).get_all("Requires-Dist") or []
        if "extra ==" not in each and not each.startswith("rollout-client")
    ]
    environment = WorkerEnvironment.make(tmp_path / "environment", *needed)
    environment.install(*wheels.values())

    ended = environment.run("-m", "reconciler", "db", "start")

    assert ended.returncode == 1
    assert ended.stderr == (
        "error: the embedded database is not installed: run "
        "pip install 'rollout-reconciler[embedded]', or set DATABASE_URL\n"
    )
    helped = environment.run("-m", "reconciler", "--version")
    assert __version__ in helped.stdout


@pytest.mark.nightly
def test_the_lowest_versions_that_are_allowed_work(
    wheels: dict[str, Path], database: Database, tmp_path: Path
) -> None:
    """They come from the package index."""
    load(database)
    needed = metadata(wheels["client"]).get_all("Requires-Dist") or []
    lowest = [each.partition(";")[0].replace(">=", "==") for each in needed]
    environment = WorkerEnvironment.make(tmp_path / "environment")
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-cache"),
            *("--python", str(environment.python), str(wheels["client"]), *lowest),
        ],
        check=True,
    )

    for script in (SERVICE, TOOLKITS):
        ended = environment.run("-c", script, database.url, REPOSITORY)
        assert ended.returncode == 0, ended.stderr
