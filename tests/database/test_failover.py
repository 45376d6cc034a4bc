"""A failover on two real servers: what the new primary lost, and what a replica shows."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.embedded import EmbeddedServer, installed_binaries
from reconciler.database.lease import WATCH_LEASE, WRITE_BACK_LEASE, Lease, held
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.errors import Unavailable
from reconciler.operations.events import CommitApplied, Event, OverrideRestored, Witness
from reconciler.operations.listeners import emit_to_no_listener
from reconciler.operations.reconcile import apply
from reconciler.operations.safeguard import resume, roll_back, stop
from reconciler.operations.write_back import write_back
from reconciler.watching.followed_branch import FollowedBranch, Follower
from reconciler.watching.lineage import LineageWatch
from reconciler.watching.watch import Task, Watch
from rollout_client import RolloutClient
from rollout_client.targeting.eligibility import Rule
from tests.browser import dashboard
from tests.database.proxy import Proxy, Verdict
from tests.database.test_client import ACME, load
from tests.database.test_faults import application
from tests.postgres import Database
from tests.site import Site
from tests.watching import FILE
from tests.writing_back import apply_file, carry

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

    def lose_primary(self) -> None:
        """Stop the primary at once."""
        self._primary.stop()

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


def of_both(first: Database, second: Database) -> str:
    """Return one address with two hosts, in this order."""
    addresses = [each.address.parameters for each in (first, second)]
    hosts, ports = (",".join(each[key] for each in addresses) for key in ("host", "port"))
    return f"postgresql://postgres@/postgres?host={hosts}&port={ports}"


@pytest.mark.parametrize("attributes", ["", "&target_session_attrs=any"])
def test_a_client_takes_no_answer_from_a_replica(servers: Servers, attributes: str) -> None:
    load(servers.primary)
    replica = servers.replica()
    servers.primary.execute("UPDATE rollout_configuration SET emergency_stop = true")

    with RolloutClient(replica.url + attributes) as client:
        assert not client.wait_until_ready(1)
        assert not client.is_eligible(ACME, "f")
        failure = client.status().failure
    assert failure is not None
    assert "server is in hot standby mode" in failure
    with RolloutClient(of_both(replica, servers.primary) + attributes) as client:
        assert client.wait_until_ready(10)
        assert client.explain(ACME, "f").rule is Rule.EMERGENCY_STOP


def test_a_client_asks_no_replica_at_an_address_of_a_function(servers: Servers) -> None:
    load(servers.primary)
    replica = servers.replica()

    with RolloutClient(lambda: replica.url) as client:
        assert not client.wait_until_ready(1)
        assert not client.is_eligible(ACME, "f")


def test_no_plan_and_no_verdict_comes_from_a_replica(servers: Servers, rollout: Site) -> None:
    replica = servers.replica()
    at_replica = {"DATABASE_URL": replica.url, "ROLLOUT_DATABASE_WAIT": "0"}
    at_both = {"DATABASE_URL": of_both(replica, servers.primary)}
    stop = ("stop", "--feature", "capture", "--reason", "errors", "--no-write-back")

    for command in (("--dry-run",), ("health",), ("status",), ("verify",), ("drift",), stop):
        done = rollout.reconcile(*command, env=at_replica)
        assert done.exit_code == 1, command
        assert "hot standby mode; set the address of the primary server" in done.stderr
        assert rollout.reconcile(*command, env=at_both).exit_code in {0, 2}, command
    stopped = "SELECT emergency_stop FROM rollout_configuration WHERE feature_name = 'capture'"
    assert servers.primary.value(stopped)


def test_the_dashboard_reads_a_replica_and_acts_on_the_primary(
    servers: Servers, site: Site
) -> None:
    load(servers.primary)
    replica = servers.replica()
    addresses = {"ROLLOUT_READ_DATABASE_URL": replica.url}
    on_primary = replace(site, database=servers.primary)
    with dashboard(on_primary, environment=addresses) as (url, _):
        servers.primary.execute("UPDATE rollout_configuration SET rollout_percentage = 30")

        (feature,) = httpx.get(f"{url}/api/now").json()["features"]
        page = httpx.get(f"{url}/features/f").text
        act = httpx.get(f"{url}/features/f/rollback?to=20").text
        assert httpx.get(f"{url}/readyz").json() == httpx.get(f"{url}/livez").json()

    assert feature["percentage"] == 100
    assert "Read from a replica; its newest change is of" in page
    assert "Read from a replica" not in act
    assert "30" in act


TARGET = """
INSERT INTO rollout_notification_target (name, kind, events, severities, features)
VALUES ('team', 'webhook', '{restored}', '{}', '{}')
"""
IN_FORCE = """
SELECT feature_name, override.percentage, reason, triggered_by
FROM rollout_override AS override
JOIN rollout_configuration AS configuration ON configuration.id = rollout_config_id
WHERE state = 'on' ORDER BY 1
"""
RESTORED = """
SELECT feature_name, history.metadata ->> 'witness' AS witness
FROM rollout_history AS history
JOIN rollout_configuration AS configuration ON configuration.id = rollout_config_id
WHERE action = 'restored' ORDER BY 1
"""
LIVE = (
    "SELECT feature_name, rollout_percentage, emergency_stop FROM rollout_configuration ORDER BY 1"
)


@pytest.fixture
def rollout(servers: Servers, site: Site) -> Site:
    """A site on the primary: two features at 50 percent, applied and pushed."""
    found = replace(site, database=servers.primary)
    found.write(FILE)
    found.commit("Take half in")
    found.push()
    apply_file(found)
    found.database.execute(TARGET)
    return found


def task(database: Database, site: Site, followed: FollowedBranch | None = None) -> Task:
    opened = OpenedDatabase.at(database.address)
    return Task(opened, site.file, 0.1, (), None, followed, "a test", writes_back=False)


class Watching:
    """A watch in this process that loses the primary between two ticks."""

    def __init__(self, servers: Servers, site: Site, proxy: Proxy, followed: str | None) -> None:
        self.events: list[Event] = []
        self._servers, self._proxy = servers, proxy
        branch = None if followed is None else FollowedBranch("origin", followed)
        address = DatabaseAddress.parse(proxy.url)
        task = Task(
            OpenedDatabase.at(address),
            site.file,
            0.1,
            (),
            None,
            branch,
            "a test",
            writes_back=False,
        )
        self._watch = Watch(task, self.events.append)

    def fail_over(
        self,
        replica: Database,
        until: Callable[[], bool],
        after: Callable[[], bool] = lambda: True,
    ) -> None:
        """Tick on the primary until `after` holds, then on a promoted replica until `until` does."""
        left = [2]
        is_over = [False]

        def wait(_seconds: float) -> bool:
            if not is_over[0]:
                if self._watch.status.ticks and after():
                    promote(replica)
                    self._proxy.lead_to(replica.url)
                    self._proxy.cut()
                    self._servers.lose_primary()
                    is_over[0] = True
                return False
            if until():
                left[0] -= 1
            return left[0] == 0

        self._watch.run(wait)

    @property
    def restored(self) -> list[tuple[str, Witness]]:
        return [
            (each.feature, each.witness)
            for each in self.events
            if isinstance(each, OverrideRestored)
        ]


def timeline_is_recorded(replica: Database) -> bool:
    found = replica.rows("SELECT timeline FROM rollout_lease WHERE name = 'watch'")
    return found == [{"timeline": 2}]


def test_a_stop_that_a_failover_lost_is_in_force_again(servers: Servers, rollout: Site) -> None:
    primary = OpenedDatabase.at(servers.primary.address)
    with Proxy(servers.primary) as proxy:
        watching = Watching(servers, rollout, proxy, None)
        replica = servers.replica()
        stop(primary, "capture", by="ada", reason="errors")
        before = servers.primary.rows(IN_FORCE)
        primary.engine.dispose()
        watching.fail_over(replica, lambda: timeline_is_recorded(replica))

    assert watching.restored == [("capture", Witness.WATCH)]
    assert replica.rows(IN_FORCE) == before
    assert replica.rows(LIVE) == [
        {"feature_name": "capture", "rollout_percentage": Decimal(0), "emergency_stop": True},
        {"feature_name": "export", "rollout_percentage": Decimal(50), "emergency_stop": False},
    ]
    assert replica.rows(RESTORED) == [{"feature_name": "capture", "witness": "watch"}]
    assert replica.rows("SELECT event, feature_name FROM rollout_notification") == [
        {"event": "restored", "feature_name": "capture"}
    ]


def test_an_override_that_only_git_has_is_in_force_again(servers: Servers, rollout: Site) -> None:
    primary = OpenedDatabase.at(servers.primary.address)
    replica = servers.replica()
    roll_back(primary, "capture", Decimal(5), by="ada", reason="errors")
    assert [each.outcome.value for each in carry(rollout).overrides] == ["written"]
    resume(primary, "capture", by="ada", reason="mended")
    primary.engine.dispose()
    with Proxy(servers.primary) as proxy:
        watching = Watching(servers, rollout, proxy, "main")
        watching.fail_over(replica, lambda: timeline_is_recorded(replica))

    assert watching.restored == [("capture", Witness.GIT)]
    assert replica.rows(RESTORED) == [{"feature_name": "capture", "witness": "git"}]
    (found,) = replica.rows(IN_FORCE)
    assert (found["percentage"], found["triggered_by"]) == (Decimal(5), "ada")


def test_write_back_waits_for_no_release_that_a_failover_lost(
    servers: Servers, rollout: Site
) -> None:
    primary = OpenedDatabase.at(servers.primary.address)
    stop(primary, "capture", by="ada", reason="errors")
    with held(primary, WRITE_BACK_LEASE, timedelta(hours=1)):
        replica = servers.replica()
    primary.engine.dispose()
    with Proxy(servers.primary) as proxy:
        watching = Watching(servers, rollout, proxy, "main")
        watching.fail_over(replica, lambda: timeline_is_recorded(replica))

    report = write_back(OpenedDatabase.at(replica.address), rollout.file, patience=timedelta(0))
    assert [each.outcome.value for each in report.overrides] == ["written"]


def test_a_resume_is_not_taken_back_by_a_failover(servers: Servers, rollout: Site) -> None:
    primary = OpenedDatabase.at(servers.primary.address)
    stop(primary, "capture", by="ada", reason="errors")
    assert [each.outcome.value for each in carry(rollout).overrides] == ["written"]
    resume(primary, "capture", by="ada", reason="mended")
    replica = servers.replica()
    primary.engine.dispose()
    with Proxy(servers.primary) as proxy:
        watching = Watching(servers, rollout, proxy, None)
        watching.fail_over(replica, lambda: timeline_is_recorded(replica))

    assert watching.restored == []
    assert replica.rows(IN_FORCE) == []


def test_an_apply_that_a_failover_lost_is_followed_again(servers: Servers, rollout: Site) -> None:
    replica = servers.replica()
    rollout.replace("export:\n    percentage: 50", "export:\n    percentage: 20")
    rollout.commit("Lower export")
    rollout.push()
    with Proxy(servers.primary) as proxy:
        watching = Watching(servers, rollout, proxy, "main")
        watching.fail_over(
            replica,
            lambda: generations(replica) == [1, 2],
            after=lambda: any(isinstance(each, CommitApplied) for each in watching.events),
        )

    assert replica.rows(LIVE)[1]["rollout_percentage"] == Decimal(20)


def test_no_commit_is_followed_before_git_is_compared(servers: Servers, rollout: Site) -> None:
    """An apply that began on the lost server would otherwise go on, on the new one."""
    replica = servers.replica()
    rollout.write(FILE.replace("percentage: 50", "percentage: 40"))
    rollout.commit("Take fewer in")
    rollout.push()
    main = FollowedBranch("origin", "main")
    with Proxy(servers.primary) as proxy:
        database = OpenedDatabase.at(DatabaseAddress.parse(proxy.url))
        lease = Lease.of_this_process(database, WATCH_LEASE, timedelta(hours=1))
        lineage = LineageWatch(
            lease, rollout.file, main, confirm=lambda: None, emit=emit_to_no_listener
        )
        follower = Follower(
            database,
            rollout.file,
            main,
            applied_by="a test",
            metrics_source=None,
            confirm=lambda: None,
            require_compared=lineage.require_compared,
        )
        lineage.look()
        promote(replica)
        proxy.lead_to(replica.url)
        proxy.cut()

        with pytest.raises(Unavailable, match="another server answers since"):
            follower.follow(None)
        lineage.look()
        with pytest.raises(Unavailable, match="git was not compared with it yet"):
            follower.follow(None)
        assert generations(replica) == [1]
        assert lease.take()
        lineage.compare_with_git()
        assert isinstance(follower.follow(None), CommitApplied)
    assert generations(replica) == [1, 2]


def test_a_watch_that_starts_after_a_failover_compares_git(servers: Servers, rollout: Site) -> None:
    primary = OpenedDatabase.at(servers.primary.address)
    Watch(task(servers.primary, rollout)).run(lambda _seconds: True)
    replica = servers.replica()
    stop(primary, "capture", by="ada", reason="errors")
    assert [each.outcome.value for each in carry(rollout).overrides] == ["written"]
    primary.engine.dispose()
    promote(replica)

    events: list[Event] = []
    Watch(task(replica, rollout), events.append).run(lambda _seconds: timeline_is_recorded(replica))

    assert replica.rows(RESTORED) == [{"feature_name": "capture", "witness": "git"}]
    # A block of the branch that no server lost is left to the next apply.
    replica.execute("UPDATE rollout_override SET id = gen_random_uuid()")
    Watch(task(replica, rollout), events.append).run(lambda _seconds: True)
    assert len(replica.rows(RESTORED)) == 1
