"""`reconcile serve` as a real process."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from tests.postgres import PROJECT

TOKEN = "correct-horse-battery-staple"


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    process: "subprocess.Popen[str]"

    def is_ready(self) -> bool:
        return httpx.get(f"{self.url}/readyz").status_code == httpx.codes.OK


@contextmanager
def running_server(
    *arguments: str, token: str | None = TOKEN, environment: Mapping[str, str] = {}
) -> Iterator[Server]:
    variables = {**os.environ, "PYTHONPATH": str(PROJECT), **environment}
    if token is not None:
        variables["ROLLOUT_OFREP_TOKEN"] = token
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "serve", "--listen", "127.0.0.1:0", *arguments],
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        # The server may report a missing database earlier.
        said = next((line for line in process.stderr if line.startswith("serving ")), "it ended")
        found = re.fullmatch(r"serving (http://127\.0\.0\.1:[0-9]+)/ofrep/v1\n", said)
        assert found is not None, said
        yield Server(found[1], process)
    finally:
        process.kill()
        process.communicate()
