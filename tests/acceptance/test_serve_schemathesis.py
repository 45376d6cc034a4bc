"""`reconcile serve` with the requests that schemathesis makes from OFREP's OpenAPI document."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from tests import conformance
from tests.database.test_client import load
from tests.eventually import eventually
from tests.ofrep import Protocol
from tests.ofrep_server import TOKEN, running_server
from tests.postgres import Database

PROTOCOL = Protocol.read(conformance.require("ofrep"))
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
"""Without `ignored_auth`: it sends a wrong key beside the right token, and one of the two is enough."""


def test_every_generated_request_has_an_answer_of_the_protocol(
    database: Database, tmp_path: Path, at_size: Callable[[int, int], int]
) -> None:
    load(database, rollout_percentage=50)
    document = tmp_path / "openapi.yaml"
    document.write_text(yaml.safe_dump(PROTOCOL.document))
    with running_server("--database-url", database.url) as served:
        eventually(served.is_ready)
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "run", document),
                *("--url", served.url, "--header", f"Authorization: Bearer {TOKEN}"),
                *("--phases", "examples,coverage,fuzzing", "--seed", "1", "--no-color"),
                *("--max-examples", str(at_size(30, 1000)), "--checks", ",".join(CHECKS)),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=at_size(300, 3000),
            check=False,
        )
        assert served.is_ready()

    assert done.returncode == 0, done.stdout
