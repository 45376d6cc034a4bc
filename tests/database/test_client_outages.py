"""The client never answers a wrong yes, with any fault of the database or the connection.

A yes is right if the newest committed state gives it, or a state within the last `max_staleness`.
"""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import psutil
import psycopg
import pytest

from reconciler.database import schema
from reconciler.database.embedded import EmbeddedServer
from rollout_client import ClientRule, RolloutClient
from rollout_client.targeting.eligibility import Rule
from tests.database.proxy import Proxy, Verdict
from tests.database.test_client import ACME, Clock, change, following, load
from tests.eventually import eventually
from tests.postgres import Database

OFTEN = timedelta(milliseconds=50)


class OwnServer:
    """A server for one test, which may stop and damage it."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedServer(folder, {"fsync": "off"})
        self.database = Database(self._server.start())
        schema.upgrade(self.database.engine)
        self.database.engine.dispose()

    def kill(self) -> None:
        for process in self._processes():
            process.kill()
        psutil.wait_procs(self._processes())

    def start(self) -> None:
        self.database = Database(self._server.start())

    def stop(self) -> None:
        self._server.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        # The postmaster first: then no process begins, but one without a client may still have to
        # end.
        processes = self._processes()
        _signal(processes, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(processes, signal.SIGCONT)

    def _processes(self) -> list[psutil.Process]:
        id_ = self._server.status().process_id
        if id_ is None or not psutil.pid_exists(id_):
            return []
        postmaster = psutil.Process(id_)
        return [postmaster, *postmaster.children(recursive=True)]


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    server = OwnServer(tmp_path_factory.mktemp("own") / "server")
    yield server
    server.stop()


@pytest.fixture
def own(server: OwnServer) -> OwnServer:
    """A database with one feature that makes all repositories eligible."""
    server.database.execute("DELETE FROM rollout_configuration; DELETE FROM repositories")
    load(server.database)
    return server


def test_the_client_follows_a_server_that_was_killed_and_restarted(own: OwnServer) -> None:
    clock = Clock()
    with (
        Proxy(own.database) as proxy,
        following(Database(proxy.url), clock=clock, poll_every=OFTEN) as client,
    ):
        assert client.is_eligible(ACME, "f")

        own.kill()
        eventually(lambda: client.status().failure is not None)
        clock.now += 299
        assert client.is_eligible(ACME, "f")
        clock.now += 1
        assert client.explain(ACME, "f").rule is ClientRule.STALE

        # Stopped before the client can connect, so the client never sees the time in between.
        proxy.is_up = False
        own.start()
        change(own.database, "emergency_stop = true")
        proxy.lead_to(own.database.url)
        proxy.is_up = True
        eventually(lambda: not client.status().is_stale)
        assert client.explain(ACME, "f").rule is Rule.EMERGENCY_STOP


def test_the_client_retries_however_long_the_server_is_down(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(database)
    tries = 0

    def refuse(*_arguments: object, **_settings: object) -> None:
        nonlocal tries
        tries += 1
        raise psycopg.OperationalError("nobody is there")

    with monkeypatch.context() as outage:
        outage.setattr("rollout_client.follower.LONGEST_BACKOFF_SECONDS", 0.0)
        outage.setattr("rollout_client.follower.FIRST_BACKOFF_SECONDS", 0.0)
        outage.setattr("rollout_client.follower.connect", refuse)
        client = RolloutClient(database.url)
        client.start()
        eventually(lambda: tries > 5_000)
        assert not client.is_eligible(ACME, "f")
    eventually(lambda: client.is_eligible(ACME, "f"))
    client.close()


def test_the_client_does_not_wait_for_a_paused_server(own: OwnServer) -> None:
    clock = Clock()
    with following(own.database, clock=clock, poll_every=OFTEN) as client:
        with own.paused():
            assert client.is_eligible(ACME, "f")
            clock.now += 300
            assert client.explain(ACME, "f").rule is ClientRule.STALE
            assert not client.is_eligible(ACME, "f")
        eventually(lambda: client.is_eligible(ACME, "f"))


def test_a_half_open_connection_is_replaced_before_the_next_poll(database: Database) -> None:
    load(database)
    is_open = threading.Event()
    is_open.set()
    first: set[int] = set()

    def swallow(_sent: bytes) -> Verdict:
        """Forward nothing more on the connections of the time before."""
        if threading.get_ident() in first or is_open.is_set():
            first.add(threading.get_ident())
            is_open.wait()
        return Verdict.FORWARD

    with (
        Proxy(database, to_client=swallow) as proxy,
        following(Database(proxy.url), poll_every=timedelta(hours=1)) as client,
    ):
        assert client.is_eligible(ACME, "f")
        is_open.clear()
        change(database, "emergency_stop = true")
        eventually(lambda: client.status().failure is not None)
        eventually(lambda: not client.is_eligible(ACME, "f"))
        is_open.set()


def test_a_late_answer_is_as_old_as_its_query(database: Database) -> None:
    load(database)
    clock = Clock()
    is_open = threading.Event()
    is_open.set()
    held: list[bytes] = []

    def hold(sent: bytes) -> Verdict:
        if not is_open.is_set():
            held.append(sent)
            is_open.wait()
        return Verdict.FORWARD

    with (
        Proxy(database, to_client=hold) as proxy,
        following(Database(proxy.url), clock=clock, poll_every=OFTEN) as client,
    ):
        is_open.clear()
        eventually(lambda: bool(held))
        # The answer in transit is yes; when it arrives, a stop is older than `max_staleness`.
        change(database, "emergency_stop = true")
        clock.now += 301
        stop = threading.Event()
        answers: list[bool] = []

        def ask() -> None:
            while not stop.wait(0.0002):
                answers.append(client.is_eligible(ACME, "f"))

        asking = threading.Thread(target=ask)
        asking.start()
        is_open.set()
        eventually(lambda: client.explain(ACME, "f").rule is Rule.EMERGENCY_STOP)
        stop.set()
        asking.join()

    assert not any(answers)


@pytest.mark.parametrize("template", ["template_rollout", "template0"])
def test_no_repository_is_eligible_after_a_restart_with_no_data(
    database: Database, template: str
) -> None:
    load(database)
    clock = Clock()
    with (
        Proxy(database) as proxy,
        following(Database(proxy.url), clock=clock, poll_every=OFTEN) as client,
    ):
        assert client.is_eligible(ACME, "f")

        proxy.is_up = False
        proxy.cut()
        name = database.value("SELECT current_database()")
        with psycopg.connect(
            database.url.replace(f"/{name}", "/postgres"), autocommit=True
        ) as other:
            other.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            other.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        proxy.is_up = True

        if template == "template0":
            # There are not even tables: nothing confirms or contradicts the known state.
            eventually(lambda: "rollout_configuration" in (client.status().failure or ""))
            clock.now += 300
            assert client.explain(ACME, "f").rule is ClientRule.STALE
        else:
            eventually(lambda: client.explain(ACME, "f").rule is Rule.UNKNOWN_FEATURE)
        assert not client.is_eligible(ACME, "f")


def test_a_reload_that_is_cut_anywhere_is_discarded(
    database: Database, at_size: Callable[[int, int], int]
) -> None:
    """Its owner is listed only while the repository has another owner, so every yes is wrong."""
    load(database, rollout_percentage=0)
    chance = random.Random(20261125)
    left = [-1]

    def cut_after(_sent: bytes) -> Verdict:
        left[0] -= 1
        return Verdict.CUT if left[0] == 0 else Verdict.FORWARD

    def rename(name: str) -> None:
        database.execute(f"UPDATE repositories SET full_name = '{name}' WHERE id = '{ACME}'")

    answers: list[bool] = []
    stop = threading.Event()
    with (
        Proxy(database, to_client=cut_after, at_once=100) as proxy,
        following(
            Database(proxy.url), poll_every=OFTEN, max_staleness=timedelta(seconds=1)
        ) as client,
    ):

        def ask() -> None:
            while not stop.wait(0.0002):
                answers.append(client.is_eligible(ACME, "f"))

        asking = threading.Thread(target=ask)
        asking.start()
        cuts = 0
        for number in range(at_size(3, 100)):
            left[0] = chance.randrange(1, 15)
            rename(f"away/{number}")
            change(database, "target_repositories = '{acme/*}'")
            eventually(lambda: left[0] <= 0)
            wait_for_name(client, f"away/{number}")
            cuts += left[0] <= 0
            change(database, "target_repositories = '{}'")
            rename("acme/site")
            wait_for_name(client, "acme/site")
        stop.set()
        asking.join()

    assert cuts
    assert answers
    assert not any(answers)


def wait_for_name(client: RolloutClient, name: str) -> None:
    eventually(
        lambda: client.explain(name, "f").rule not in (Rule.UNKNOWN_REPOSITORY, ClientRule.STALE)
    )


@pytest.mark.nightly
def test_a_long_running_client_stays_correct_in_constant_memory(
    own: OwnServer, at_size: Callable[[int, int], int]
) -> None:
    """Ten million decisions, ten thousand changes, a hundred restarts."""
    soak(
        own,
        decisions=at_size(10**5, 10**7),
        changes=at_size(10**2, 10**4),
        restarts=at_size(2, 100),
    )


def soak(own: OwnServer, *, decisions: int, changes: int, restarts: int) -> None:
    chance = random.Random(20261125)
    memory: list[int] = []
    process = psutil.Process(os.getpid())
    is_stopped = False
    with (
        Proxy(own.database) as proxy,
        following(Database(proxy.url), poll_every=timedelta(seconds=1)) as client,
    ):
        for number in range(1, changes + 1):
            is_stopped = not is_stopped
            change(own.database, f"emergency_stop = {is_stopped}, rollout_percentage = 100")
            eventually(lambda: client.is_eligible(ACME, "f") is not is_stopped)  # noqa: B023
            for _ in range(decisions // changes):
                assert client.is_eligible(ACME, "f") is not is_stopped
            if number % max(1, changes // restarts) == 0:
                if chance.random() < 0.5:
                    own.kill()
                else:
                    own.stop()
                own.start()
                proxy.lead_to(own.database.url)
            if number % max(1, changes // 10) == 0:
                memory.append(process.memory_info().rss)

    # What is allocated to warm up is allocated after the first tenth.
    assert memory[-1] < memory[0] * 1.1, memory
