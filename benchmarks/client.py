"""The client compared with its peers: decisions, memory, and the time until a stop reaches every process.

Peers and client run alternately in one process, with the same ids. The client knows a million
repositories and a peer knows none. A stop goes to fifty processes, each with its own client.
"""

import hashlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from struct import Struct
from typing import Final

import psycopg

from benchmarks.eligibility import LOAD_REPOSITORIES
from benchmarks.harness import Row, interleaved
from benchmarks.peers import FEATURE, PERCENTAGE, Peer, peers
from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.connection import create_engine
from reconciler.database.embedded import EmbeddedServer
from rollout_client import RolloutClient

REPOSITORIES: Final = 1_000_000
ENTRIES: Final = 1_000
DECISIONS: Final = 2_000
ROUNDS: Final = 9
CLIENTS: Final = 50
STOPS: Final = 20
FEW_REPOSITORIES: Final = 1_000
MOST_MEGABYTES: Final = 150
_REST_SECONDS: Final = 0.5
_REST_BETWEEN_WIDENINGS: Final = 5.0
_LOOK_SECONDS: Final = 0.001
_READY: Final = timedelta(minutes=5)
_FIRST_FOUR_BYTES: Final = Struct(">I").unpack_from
_PREFIX: Final = f"{FEATURE}:".encode()
_LISTED: Final = "SELECT array_agg(id::text) FROM (SELECT id FROM repositories LIMIT %s) AS listed"


def run() -> Iterator[Row]:
    """Yield the rows of this table, measured on an embedded server of its own."""
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedServer(Path(name) / "server")
        url = server.start()
        try:
            with loaded(url, "few", FEW_REPOSITORIES) as few:
                yield _stops(few)
            with loaded(url, "many", REPOSITORIES) as many:
                yield _memory(many)
                yield _widening(many)
                yield from _decisions(many)
        finally:
            server.stop()


@contextmanager
def loaded(server: str, name: str, repositories: int) -> Iterator[str]:
    """Return a database with this many categorised repositories and the feature by percentage."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = server.replace("/postgres?", f"/{name}?")
    engine = create_engine(DatabaseAddress.parse(url))
    schema.upgrade(engine)
    engine.dispose()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(LOAD_REPOSITORIES.replace(":repositories", str(repositories)).encode())
        connection.execute("SELECT categorize_all_repositories()")
        connection.execute("VACUUM ANALYZE")
        (whitelist,) = connection.execute(_LISTED, (ENTRIES,)).fetchone() or ([],)
        connection.execute(
            "INSERT INTO rollout_configuration (feature_name, rollout_percentage,"
            " target_repositories) VALUES (%s, %s, %s)",
            (FEATURE, PERCENTAGE, whitelist),
        )
    yield url


def _decisions(url: str) -> Iterator[Row]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT id::text FROM repositories ORDER BY md5(id::text) LIMIT %s",
            (DECISIONS * (ROUNDS + 1) * 7,),
        ).fetchall()
        (whitelist,) = connection.execute(_LISTED, (ENTRIES,)).fetchone() or ([],)
    ids = [id_ for (id_,) in rows]
    batches = [ids[begin : begin + DECISIONS] for begin in range(0, len(ids), DECISIONS)]
    known = batches.pop()
    with RolloutClient(url, start_timeout=_READY) as client, peers(whitelist) as all_peers:

        def ask(batch: list[str]) -> None:
            for id_ in batch:
                client.is_eligible(id_, FEATURE)

        for peer in all_peers:
            contexts = [peer.context(id_) for id_ in known]
            work, floor = interleaved(
                lambda: ask(known),
                lambda: _ask_peer(peer, contexts),  # noqa: B023 - run before the next turn
                rounds=ROUNDS,
            )
            yield Row(
                "`is_eligible`, asked before",
                f"{peer.name}, asked before",
                work / DECISIONS,
                floor / DECISIONS,
                most_ratio=0.1,
                most_seconds=1e-6,
            )
        for peer in all_peers:
            work, floor = interleaved(
                lambda: ask(batches.pop()),
                lambda: _ask_peer(peer, [peer.context(id_) for id_ in known]),  # noqa: B023
                rounds=ROUNDS,
            )
            yield Row(
                "`is_eligible`, first time for a repository",
                peer.name,
                work / DECISIONS,
                floor / DECISIONS,
                most_ratio=0.2,
            )
        work, floor = interleaved(lambda: ask(batches.pop()), lambda: _hash(known), rounds=ROUNDS)
        yield Row(
            "`is_eligible`, first time for a repository",
            "one `hashlib.sha256` of the same bytes",
            work / DECISIONS,
            floor / DECISIONS,
            most_ratio=6,
        )
        bare = _BareDecision()
        work, floor = interleaved(
            lambda: ask(batches.pop()), lambda: bare.ask_all(known), rounds=ROUNDS
        )
        yield Row(
            "`is_eligible`, first time for a repository",
            "a method with two lookups in dicts and one `sha256`, which knows no repository",
            work / DECISIONS,
            floor / DECISIONS,
        )


class _BareDecision:
    """The least that a decision in Python does: it finds no kept answer, and compares a bucket."""

    def __init__(self) -> None:
        self._answers: dict[str, dict[str, bool]] = {FEATURE: {}}

    def ask_all(self, ids: list[str]) -> None:
        for id_ in ids:
            self.is_eligible(id_, FEATURE)

    def is_eligible(self, repository: str, feature: str) -> bool:
        kept = self._answers[feature].get(repository)
        if kept is not None:
            return kept
        first: int = _FIRST_FOUR_BYTES(hashlib.sha256(_PREFIX + repository.encode()).digest())[0]
        return first % 10_000 < PERCENTAGE * 100


def _hash(ids: list[str]) -> None:
    for id_ in ids:
        hashlib.sha256(f"{FEATURE}:{id_}".encode()).digest()


def _ask_peer(peer: Peer, contexts: list[object]) -> None:
    for context in contexts:
        peer.ask(context)


def _memory(url: str) -> Row:
    """Measure a separate process that follows everything under `repository_size`."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE rollout_configuration SET rollout_strategy = 'repository_size'")
        said = subprocess.run(
            [sys.executable, "-m", "benchmarks.client", "memory", url],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        connection.execute("UPDATE rollout_configuration SET rollout_strategy = 'percentage'")
    seconds, before, after, peak, repositories = map(float, said.split())
    if repositories != REPOSITORIES:
        sys.exit(f"{repositories:.0f} repositories are known")
    note = f"the process has {after:.0f} MB, at its peak {peak:.0f}; {before:.0f} before it loads"
    if peak > MOST_MEGABYTES:
        sys.exit(f"memory: {note}, at most {MOST_MEGABYTES}")
    return Row(f"loading {REPOSITORIES:,} repositories by size", "-", seconds, note=note)


def _load_and_tell_memory(url: str) -> None:
    client = RolloutClient(url)
    before = _megabytes()
    begin = time.perf_counter()
    client.wait_until_ready(_READY)
    seconds = time.perf_counter() - begin
    print(seconds, before, _megabytes(), _peak_megabytes(), client.status().repositories)
    client.close()


def _megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def _peak_megabytes() -> float:
    """Return the peak memory of this program; `getrusage` would include the process that started it."""
    status = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def _widening(url: str) -> Row:
    """Measure from before the commit to a client's first yes; narrow again after each measurement."""
    with psycopg.connect(url, autocommit=True) as connection:
        ((let_in,),) = connection.execute(
            "SELECT repositories.id::text FROM repositories, rollout_configuration"
            " WHERE rollout_bucket(%s, repositories.id) BETWEEN %s AND %s"
            " AND NOT repositories.id::text = ANY(target_repositories) LIMIT 1",
            (FEATURE, PERCENTAGE * 100, 2 * PERCENTAGE * 100 - 1),
        ).fetchall()
        with RolloutClient(url, start_timeout=_READY) as client:
            seconds = []
            for _ in range(ROUNDS):
                begin = time.monotonic()
                _set_percentage(connection, 2 * PERCENTAGE)
                _wait_for(client, let_in, wanted=True)
                seconds.append(time.monotonic() - begin)
                _set_percentage(connection, PERCENTAGE)
                _wait_for(client, let_in, wanted=False)
                # In use, changes are rare, and one does not always come while the client rests
                # after the last one.
                time.sleep(_REST_BETWEEN_WIDENINGS)
    return Row(
        f"from {PERCENTAGE} to {2 * PERCENTAGE} percent of {REPOSITORIES:,}, until a client says yes",
        "-",
        statistics.median(seconds),
        most_seconds=2,
        note=f"longest {max(seconds):.1f} s of {ROUNDS}; no repository moved meanwhile",
    )


def _set_percentage(connection: "psycopg.Connection[tuple[object, ...]]", percentage: int) -> None:
    connection.execute(
        "UPDATE rollout_configuration SET rollout_percentage = %s, updated_at = now()",
        (percentage,),
    )


def _wait_for(client: RolloutClient, repository: str, *, wanted: bool) -> None:
    while client.is_eligible(repository, FEATURE) is not wanted:
        time.sleep(_LOOK_SECONDS)


def _stops(url: str) -> Row:
    """Measure from before the commit to a client's first no, over all clients and stops."""
    command = [sys.executable, "-m", "benchmarks.client", "follow", url]
    clients = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(CLIENTS)
    ]
    latencies: list[float] = []
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            _all_say(clients, "yes")
            for _ in range(STOPS):
                begin = time.monotonic()
                set_stop(connection, is_on=True)
                latencies += [at - begin for at in _all_say(clients, "no")]
                set_stop(connection, is_on=False)
                _all_say(clients, "yes")
                # In use, a stop comes at any time, not while all clients still handle the last one.
                time.sleep(_REST_SECONDS)
    finally:
        for client in clients:
            client.communicate()
    latencies.sort()
    return Row(
        f"a stop, until one of {CLIENTS} processes says no: 99 of 100",
        "-",
        latencies[int(len(latencies) * 0.99)],
        most_seconds=0.1,
        note=(
            f"median {statistics.median(latencies) * 1000:.1f} ms, longest"
            f" {latencies[-1] * 1000:.1f} ms of {len(latencies):,}; {FEW_REPOSITORIES:,} repositories"
        ),
    )


def set_stop(connection: "psycopg.Connection[tuple[object, ...]]", *, is_on: bool) -> None:
    """Stop all features, or let them go on."""
    connection.execute(
        "UPDATE rollout_configuration SET emergency_stop = %s, updated_at = now()", (is_on,)
    )


def _all_say(clients: "list[subprocess.Popen[str]]", wanted: str) -> list[float]:
    """Wait until each process reports it; return the time at which each began."""
    times = []
    for client in clients:
        assert client.stdout is not None
        answer, at = client.stdout.readline().split()
        assert answer == wanted
        times.append(float(at))
    return times


def _follow_and_tell(url: str) -> None:
    """Print each new answer for one repository and its time, until the input ends."""
    with psycopg.connect(url) as connection:
        ((listed,),) = connection.execute(_LISTED, (1,)).fetchall()
    said = [False]

    def tell(_features: frozenset[str]) -> None:
        answer = client.is_eligible(listed[0], FEATURE)
        at = time.monotonic()
        if answer is not said[0]:
            said[0] = answer
            print("yes" if answer else "no", at, flush=True)

    client = RolloutClient(url, on_change=tell, start_timeout=_READY)
    with client:
        sys.stdin.read()


if __name__ == "__main__":
    {"memory": _load_and_tell_memory, "follow": _follow_and_tell}[sys.argv[1]](sys.argv[2])
