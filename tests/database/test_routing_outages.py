"""No outage, and no clock, brings a job of a repository without the feature to the feature's processor.

A client may use a state within the last `max_staleness`; a function of the database only the newest one.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from rollout_client import CircuitState, Job, RolloutClient
from tests.builders import RepositoryRow, add_repositories
from tests.database.proxy import Proxy
from tests.database.test_client import Clock
from tests.postgres import Database

NEW, OLD = "new", "old"
STALE_AFTER = 300
CIRCUIT_RESTS = 30
REPOSITORIES = ("acme/a", "acme/b", "acme/huge", "other/c")
RULES: list[list[dict[str, Any]]] = [
    [],
    [{"to": NEW, "spill": True}],
    [{"when": {"size": "<=10"}, "to": OLD, "spill": True}, {"to": NEW}],
    [{"to": "cheapest", "spill": True}],
    [{"when": {"category": ["enterprise"]}, "to": OLD, "spill": True}, {"to": NEW, "spill": True}],
]
CHANGES = (
    "emergency_stop = true",
    "emergency_stop = false",
    "emergency_stop = false, is_active = true, rollout_percentage = 100",
    "is_active = false",
    "is_active = true",
    "rollout_percentage = 0",
    "rollout_percentage = 50",
    "rollout_percentage = 100",
    "excluded_repositories = ARRAY['acme/*']",
    "excluded_repositories = '{}'",
    "target_repositories = ARRAY['acme/a']",
    "target_repositories = '{}'",
)


class World:
    """A database, a network that fails, a clock that jumps, and one client."""

    def __init__(self, database: Database, proxy: Proxy, snapshot: Path, random: Random) -> None:
        self.database = database
        self.clock = Clock()
        self.random = random
        self.on_processor = {"client": 0, "function": 0}
        self._proxy = proxy
        self._snapshot = snapshot
        self._circuit_opened_at: float | None = None
        self._states: list[tuple[float, frozenset[str]]] = []
        add_repositories(
            database,
            *(RepositoryRow(each, stars=90_000 * each.endswith("huge")) for each in REPOSITORIES),
        )
        database.execute(
            "SELECT categorize_all_repositories();"
            "INSERT INTO rollout_configuration (feature_name, rollout_percentage, processor, fallback)"
            f" VALUES ('f', 100, '{NEW}', '{OLD}');"
            "INSERT INTO rollout_processor (name, cost, concurrency, as_of)"
            f" VALUES ('{NEW}', '{{}}', 2, '2026-11-01'), ('{OLD}', '{{}}', 2, '2026-11-01')"
        )
        self._connection = psycopg.connect(database.url, autocommit=True)
        self._note_state()
        self.client = self._new_client()
        self.client.wait_until_ready(60)

    def close(self) -> None:
        """Close the client and the connection."""
        self.client.close(1)
        self._connection.close()

    def step(self) -> None:
        """Let something happen, and send jobs."""
        events = [self._change, self._change_rules, self._cut, self._reconnect]
        events += [self._move_clock, self._open_circuit, self._restart]
        self.random.choice(events)()
        for repository in REPOSITORIES:
            self._send_by_client(repository)
            self._send_by_function(repository)

    def _change(self) -> None:
        self.database.execute(f"UPDATE rollout_configuration SET {self.random.choice(CHANGES)}")
        self._note_state()

    def _change_rules(self) -> None:
        self.database.execute(
            "UPDATE rollout_configuration SET routing = %(rules)s::jsonb",
            rules=json.dumps(self.random.choice(RULES)),
        )
        self.database.execute(
            "UPDATE rollout_processor SET concurrency = %(limit)s",
            limit=self.random.choice([None, 1, 2, 100]),
        )

    def _cut(self) -> None:
        self._proxy.is_up = False
        self._proxy.cut()

    def _reconnect(self) -> None:
        self._proxy.is_up = True
        self.client.wait_until_ready(self.random.choice([0.01, 0.5]))

    def _move_clock(self) -> None:
        self.clock.now += self.random.choice([1, 31, 150, 299, 301, 4000])

    def _open_circuit(self) -> None:
        # Further failures do not prolong the rest of an open circuit.
        was_closed = "f" not in self.client.status().circuits
        for _ in range(6):
            self.client.record("acme/a", "f", NEW, succeeded=False)
        is_open = self.client.status().circuits.get("f") is CircuitState.OPEN
        if was_closed and is_open:
            self._circuit_opened_at = self.clock.now

    def _restart(self) -> None:
        self.client.close(0.2)
        self._circuit_opened_at = None
        self.client = self._new_client()
        self.client.wait_until_ready(0.2)

    def _send_by_client(self, repository: str) -> None:
        job = Job("f", size=self.random.choice([1, 100]))
        with suppress(ValueError), self.client.job(repository, job) as route:
            if route.processor == NEW:
                self.on_processor["client"] += 1
                assert repository in self._allowed()
                assert not self._is_circuit_open()
            if self.random.random() < 0.2:
                raise ValueError

    def _send_by_function(self, repository: str) -> None:
        for function in ("route", "start"):
            rows = self._connection.execute(
                f"SELECT processor FROM repositories, {function}_rollout_job('f', repositories.id,"
                " null, %s) WHERE full_name = %s",
                [self.random.choice([1, 100]), repository],
            )
            if rows.fetchone() == (NEW,):
                self.on_processor["function"] += 1
                assert repository in self._states[-1][1]
        if self.random.random() < 0.5:
            self._connection.execute("DELETE FROM rollout_running_job")

    def _allowed(self) -> frozenset[str]:
        """Return the repositories with the feature in a state that the client may still use."""
        ends = [*(at for at, _ in self._states[1:]), self.clock.now + 1]
        earliest = self.clock.now - STALE_AFTER
        return frozenset().union(
            *(
                eligible
                for end, (_, eligible) in zip(ends, self._states, strict=True)
                if end >= earliest
            )
        )

    def _is_circuit_open(self) -> bool:
        opened_at = self._circuit_opened_at
        return opened_at is not None and self.clock.now < opened_at + CIRCUIT_RESTS

    def _note_state(self) -> None:
        rows = self.database.rows(
            "SELECT full_name FROM repositories"
            " WHERE is_repository_eligible_for_rollout(repositories.id, 'f')"
        )
        self._states.append((self.clock.now, frozenset(row["full_name"] for row in rows)))

    def _new_client(self) -> RolloutClient:
        client = RolloutClient(
            self._proxy.url,
            max_staleness=timedelta(seconds=STALE_AFTER),
            poll_every=timedelta(milliseconds=50),
            snapshot_file=self._snapshot,
            clock=self.clock,
        )
        client.start()
        return client


@contextmanager
def world(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> Iterator[World]:
    with Proxy(database) as proxy:
        found = World(database, proxy, folder / "snapshot", Random(seed))
        began = time.time()
        # The age of a snapshot file counts by the time of day.
        monkeypatch.setattr(time, "time", lambda: began + found.clock.now)
        try:
            yield found
        finally:
            found.close()


def test_no_outage_brings_a_job_without_the_feature_to_its_processor(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_size: Callable[[int, int], int],
) -> None:
    with world(database, tmp_path, monkeypatch, seed=11) as found:
        for _ in range(at_size(60, 2_000)):
            found.step()
        # Otherwise the test would show nothing.
        assert min(found.on_processor.values()) > 0
