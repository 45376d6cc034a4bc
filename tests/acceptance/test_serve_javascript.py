"""`reconcile serve` with OpenFeature's providers for JavaScript, in Node and in a page of another origin."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.database.test_client import load
from tests.eventually import DEADLINE_SECONDS, eventually
from tests.ofrep_server import TOKEN, running_server
from tests.postgres import PROJECT, Database

FOLDER = PROJECT / "tests" / "javascript"
PAGE = "https://app.example"
pytestmark = [
    pytest.mark.skipif(
        shutil.which("node") is None, reason="there is no node: apt-get install npm"
    ),
    pytest.mark.skipif(
        not (FOLDER / "node_modules").exists(),
        reason="the providers are not installed: make tests/javascript/node_modules",
    ),
]


@contextmanager
def running(script: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        ["node", script, *arguments],
        cwd=FOLDER,
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def next_answer(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate(timeout=DEADLINE_SECONDS)[1]
    answer: dict[str, Any] = json.loads(line)
    return answer


@pytest.mark.parametrize("kind", ["server", "page"])
def test_a_javascript_provider_has_the_flag_and_follows_a_stop(
    database: Database, kind: str
) -> None:
    load(database, rollout_percentage=100)
    with running_server("--database-url", database.url, "--cors-origin", PAGE) as served:
        eventually(served.is_ready)
        origin = [PAGE] if kind == "page" else []
        with running(f"{kind}.mjs", *origin, served.url, TOKEN, "acme/site", "f") as process:
            before = next_answer(process)
            database.execute("UPDATE rollout_configuration SET emergency_stop = true")
            after = next_answer(process)

    assert before["value"] is True
    assert before["variant"] == "on"
    assert before["flagMetadata"]["rule"] == "percentage_strategy"
    assert (after["value"], after["reason"]) == (False, "DISABLED")


def test_a_page_of_an_origin_that_is_not_allowed_gets_no_flag(database: Database) -> None:
    load(database, rollout_percentage=100)
    with running_server("--database-url", database.url, "--cors-origin", PAGE) as served:
        eventually(served.is_ready)
        with running(
            "page.mjs", "https://other.example", served.url, TOKEN, "acme/site", "f"
        ) as process:
            assert "refused" in next_answer(process)
