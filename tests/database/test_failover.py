"""A failover on two real servers: what the new primary lost, and what a replica shows."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.embedded import EmbeddedServer, installed_binaries
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.operations.reconcile import apply
from rollout_client import RolloutClient
from tests.database.proxy import Proxy, Verdict
from tests.database.test_client import ACME, load
from tests.database.test_faults import application
from tests.postgres import Database
from tests.site import Site

SETTINGS = {"fsync": "off", "wal_level": "replica", "max_wal_senders": "4"}
COMMITTED = b"C\0\0\0\x0bCOMMIT\0"
"""The server's answer to COMMIT."""
METRICS = "SELECT total_jobs FROM rollout_metrics"


class Servers:
    """A primary, and replicas of it that get nothing after their start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._primary = EmbeddedServer(folder / "primary", SETTINGS)
        self._replicas: list[EmbeddedServer] = []
        self.primary = Database(self._primary.start())
        schema.upgrade(self.primary.engine)

    def replica(self) -> Database:
        """Return a new replica with the state of now."""
        folder = self._folder / f"replica-{len(self._replicas)}"
        data = folder / "postgres"
        owner = (self._folder / "primary" / "postgres").stat()
        folder.mkdir()
        subprocess.run(
            [
                installed_binaries().program("pg_basebackup"),
                "--dbname", self.primary.url, "--pgdata", data, "--checkpoint", "fast",
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
        (data / "standby.signal").touch()
        for each in (folder, data, *data.rglob("*")):
            os.chown(each, owner.st_uid, owner.st_gid)
        server = EmbeddedServer(folder, SETTINGS)
        self._replicas.append(server)
        return Database(server.start())

    def stop(self) -> None:
        for server in (*self._replicas, self._primary):
            server.stop()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path)
    yield servers
    servers.stop()
    shutil.rmtree(tmp_path, ignore_errors=True)


def promote(replica: Database) -> None:
    """Promote a replica, and let others write, so that numbers of transactions are used again."""
    replica.value("SELECT pg_promote()")
    for number in range(20):
        replica.execute(f"CREATE TABLE of_another_{number} (id integer)")


def generations(database: Database) -> list[int]:
    return [
        row["generation"]
        for row in database.rows("SELECT generation FROM rollout_generation ORDER BY 1")
    ]


def test_an_apply_that_a_failover_lost_takes_place_on_the_new_primary(servers: Servers) -> None:
    apply(OpenedDatabase.at(servers.primary.address), application(1))
    replica = servers.replica()
    lost: list[bytes] = []

    def fail_over(sent: bytes) -> Verdict:
        if COMMITTED not in sent or lost:
            return Verdict.FORWARD
        lost.append(sent)
        promote(replica)
        proxy.lead_to(replica.url)
        return Verdict.CUT

    with Proxy(servers.primary, to_client=fail_over) as proxy:
        applied = apply(OpenedDatabase.at(DatabaseAddress.parse(proxy.url)), application(2))

    assert (applied.generation, len(lost)) == (2, 1)
    assert generations(servers.primary) == generations(replica) == [1, 2]
    assert replica.value("SELECT count(*) FROM rollout_history") == 4


def test_jobs_that_a_failover_lost_are_recorded_once_on_the_new_primary(servers: Servers) -> None:
    load(servers.primary)
    replica = servers.replica()
    lost: list[bytes] = []

    def fail_over(sent: bytes) -> Verdict:
        if COMMITTED not in sent or lost or not servers.primary.rows(METRICS):
            return Verdict.FORWARD
        lost.append(sent)
        promote(replica)
        proxy.lead_to(replica.url)
        return Verdict.CUT

    with (
        Proxy(servers.primary, to_client=fail_over) as proxy,
        RolloutClient(proxy.url) as client,
    ):
        assert client.record(ACME, "f", "inngest", succeeded=True, wait=True)

    assert len(lost) == 1
    for each in (servers.primary, replica):
        assert each.rows(METRICS) == [{"total_jobs": 1}]


def test_reading_commands_read_a_replica_and_print_its_age(servers: Servers, site: Site) -> None:
    load(servers.primary)
    replica = servers.replica()
    servers.primary.execute("UPDATE rollout_configuration SET rollout_percentage = 0")
    addresses = {
        "DATABASE_URL": servers.primary.url,
        "ROLLOUT_READ_DATABASE_URL": replica.url,
    }
    age = "read from a replica; its newest change is of "
    for command in (["stats"], ["history"], ["explain", ACME]):
        done = site.reconcile(*command, env=addresses)
        assert (done.exit_code, done.stderr[: len(age)]) == (0, age)
    assert "f: eligible\n    percentage_strategy" in done.stdout

    stop = ("stop", "--feature", "f", "--reason", "errors", "--no-write-back")
    assert site.reconcile(*stop, env=addresses).exit_code == 0
    assert servers.primary.value("SELECT emergency_stop FROM rollout_configuration")
