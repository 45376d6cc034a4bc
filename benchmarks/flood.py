"""A stop while the channel of notifications is flooded: the time until a client says no, and its reads.

Any login can notify the channel. A client reads ten times a second on average; a stop of a sender that
does not flood is read in advance of the next regular read.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.client import loaded, set_stop
from benchmarks.harness import Row
from benchmarks.peers import FEATURE
from reconciler.client import RolloutClient
from reconciler.database.embedded import EmbeddedServer

NOTIFICATIONS_A_SECOND: Final = 400
STOPS: Final = 100
REPOSITORIES: Final = 1_000
_LOOK_SECONDS: Final = 0.0005
_BETWEEN_STOPS_SECONDS: Final = 0.4
_READY: Final = timedelta(minutes=5)


def run() -> Iterator[Row]:
    """Yield the row of this table, measured on an embedded server of its own."""
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedServer(Path(name) / "server")
        url = server.start()
        try:
            with loaded(url, "flooded", REPOSITORIES) as database, _flood(database):
                yield _stops(database)
        finally:
            server.stop()


def _stops(url: str) -> Row:
    """Measure from the commit of a stop to the client's first no."""
    latencies: list[float] = []
    with (
        psycopg.connect(url, autocommit=True) as connection,
        RolloutClient(url, start_timeout=_READY) as client,
    ):
        ((listed,),) = connection.execute(
            "SELECT target_repositories[1] FROM rollout_configuration"
        ).fetchall()
        for number in range(STOPS):
            _wait_for(client, listed, wanted=True)
            # Each stop is one act, long after the last one, at another moment of the client's rest.
            time.sleep(_BETWEEN_STOPS_SECONDS + (number * 37 % 100) / 1000)
            set_stop(connection, is_on=True)
            committed = time.monotonic()
            _wait_for(client, listed, wanted=False)
            latencies.append(time.monotonic() - committed)
            set_stop(connection, is_on=False)
    latencies.sort()
    return Row(
        f"a stop under {NOTIFICATIONS_A_SECOND} notifications a second, until a client says no: 95 of 100",
        "-",
        latencies[int(len(latencies) * 0.95)],
        most_seconds=0.1,
        note=(
            f"median {statistics.median(latencies) * 1000:.1f} ms, longest "
            f"{latencies[-1] * 1000:.1f} ms of {len(latencies)}; reads ten times a second on average"
        ),
    )


def _wait_for(client: RolloutClient, repository: str, *, wanted: bool) -> None:
    while client.is_eligible(repository, FEATURE) is not wanted:
        time.sleep(_LOOK_SECONDS)


@contextmanager
def _flood(url: str) -> Iterator[None]:
    """Notify the channel from another process until the block ends."""
    command = [sys.executable, "-m", "benchmarks.flood", url]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as flooder:
        try:
            yield
        finally:
            flooder.terminate()


def _notify(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            began = time.monotonic()
            for _ in range(NOTIFICATIONS_A_SECOND // 20):
                connection.execute("NOTIFY rollout_changed, 'a payload of any login'")
            time.sleep(max(0.0, began + 1 / 20 - time.monotonic()))


if __name__ == "__main__":
    _notify(sys.argv[1])
