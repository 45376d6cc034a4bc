"""Faults between reconciler and database: an apply happens once or not at all, and says which.

The faults are real: a connection that is cut at each message of the protocol, held, or lost for
good; locks of other connections. The same with the real program as a process:
tests/acceptance/test_faults.py.
"""

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from decimal import Decimal

import psycopg
import pytest

from reconciler.database import apply as database_apply
from reconciler.database import patience, schema, transactions
from reconciler.database.address import DatabaseAddress
from reconciler.database.driver import DriverConnection
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.database.transactions import write_transaction
from reconciler.errors import OutcomeUnknown, ReconcilerError, Unavailable
from reconciler.operations.reconcile import Applied, apply
from reconciler.planning.application import Application
from reconciler.planning.plan_inputs import Source
from reconciler.rollout_file import parse_rollout
from tests.eventually import eventually
from tests.fault_proxy import Deed, FaultProxy, Message, Side
from tests.postgres import Database
from tests.replay import live_state, replayed_state

FEATURE = "alpha"
COMMIT = "COMMIT\0"
"""With a statement of its end, unlike READ COMMITTED."""
CLAIM = "public.claim_rollout_write"
LAST_STATEMENT = "UPDATE public.rollout_state"
LANDMARKS = ("BEGIN", "FROM public.rollout_lock", "INTO public.rollout_generation", COMMIT)
SPREAD = 31
"""One of this many positions is tried for each change, and those around the landmarks."""


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(database_apply, "LOCK_TIMEOUT", "20s")


def percentage(number: int) -> Decimal:
    return Decimal(2000 + number % 997) / 100


def application(number: int) -> Application:
    """One of many files; each differs from the previous one in a percentage and one whitelist entry."""
    content = (
        f"version: 1\nfeatures:\n  {FEATURE}:\n    percentage: {percentage(number)}\n"
        f"    whitelist: [acme/tool-{number}]\n"
    )
    document = parse_rollout(content)
    source = Source("rollout.yaml", document.digest, None, uncommitted=False, subject=None)
    return Application(source, document.rollout, f"job {number}")


def run(address: DatabaseAddress, number: int) -> Applied:
    return apply(OpenedDatabase.at(address), application(number))


@dataclass(frozen=True)
class Written:
    """The database's record of all applies so far."""

    generation: int
    number: int
    """The number of the file that is live."""
    history: int


def written(database: Database) -> Written:
    """Return the written state, and check that state, generations, history and live agree."""
    (row,) = database.rows("""
        SELECT
            generation,
            (SELECT count(*) FROM rollout_generation) AS generations,
            (SELECT effective -> 'features' -> 'alpha' FROM rollout_generation
             ORDER BY generation DESC LIMIT 1) AS effective,
            (SELECT count(*) FROM rollout_history) AS history,
            (SELECT count(*) FROM rollout_history
             WHERE (metadata ->> 'generation')::integer = rollout_state.generation) AS newest,
            target_repositories AS whitelist,
            rollout_percentage AS percentage
        FROM rollout_state, rollout_configuration
    """)
    number = int(row["whitelist"][0].removeprefix("acme/tool-"))
    assert row["whitelist"] == [f"acme/tool-{number}"] == row["effective"]["whitelist"]
    assert row["percentage"] == percentage(number)
    assert row["generations"] == row["generation"]
    assert row["newest"] == (1 if row["generation"] == 1 else 3)
    return Written(row["generation"], number, row["history"])


def applied_once(before: Written, number: int) -> Written:
    return Written(before.generation + 1, number, before.history + 3)


# A cut at each message


@dataclass(frozen=True)
class Position:
    """The place of a cut in the protocol."""

    side: Side
    number: int
    deed: Deed

    def rule(self, message: Message) -> Deed:
        at = (message.side, message.number) == (self.side, self.number)
        return self.deed if at else Deed.PASS


@pytest.fixture
def positions(database: Database, at_size: Callable[[int, int], int]) -> list[Position]:
    """Return the cuts: before and after every message of an apply; a sample of them for each change."""
    run(database.address, 0)
    with FaultProxy(database) as proxy:
        run(proxy.address, 1)
    messages = proxy.messages
    assert [sum(each.says(mark) for each in messages) > 0 for mark in LANDMARKS] == [True] * 4
    marked = [
        place for place, each in enumerate(messages) if any(each.says(mark) for mark in LANDMARKS)
    ]
    chosen = [
        Position(message.side, message.number, deed)
        for place, message in enumerate(messages)
        for order, deed in enumerate((Deed.CUT_BEFORE, Deed.CUT_AFTER))
        if at_size(0, 1)
        or any(mark - 1 <= place <= mark + 2 for mark in marked)
        or (2 * place + order) % SPREAD == 0
    ]
    assert len(chosen) >= at_size(40, 2 * len(messages))
    return chosen


def test_cut_once_at_any_message_an_apply_is_done_exactly_once(
    database: Database, positions: list[Position]
) -> None:
    for number, position in enumerate(positions, start=2):
        before = written(database)
        with FaultProxy(database, position.rule) as proxy:
            applied = run(proxy.address, number)
        assert proxy.count(position.side) >= position.number, "the cut did not take place"
        assert written(database) == applied_once(before, number), position
        assert applied.generation == before.generation + 1
    assert live_state(database) == replayed_state(database)


def test_an_apply_that_is_cut_for_good_reports_its_result(
    database: Database, positions: list[Position], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "DOUBT_SECONDS", 0.05)
    ends = {"done": 0, "nothing was written": 0, "unknown": 0}
    for number, position in enumerate(positions, start=2):
        before = written(database)
        with FaultProxy(database, position.rule) as proxy:
            proxy.accepts = lambda connection: connection == 1
            end = end_of(proxy, number)
            settled(database)
            messages = proxy.messages
        match end:
            case "done":
                assert written(database) == applied_once(before, number), position
            case "nothing was written":
                assert not any(each.commits for each in messages), position
                assert written(database) == before, position
            case _:
                # COMMIT was sent, but perhaps into a connection that was already cut.
                assert any(each.says(LAST_STATEMENT) for each in messages), position
                assert not was_told(messages, position), position
                assert written(database) in (before, applied_once(before, number)), position
        ends[end] += 1
    assert min(ends.values()) > 0, ends
    assert live_state(database) == replayed_state(database)


def end_of(proxy: FaultProxy, number: int) -> str:
    """What an apply reports."""
    try:
        run(proxy.address, number)
    except OutcomeUnknown:
        return "unknown"
    except Unavailable:
        return "nothing was written"
    return "done"


def was_told(messages: list[Message], position: Position) -> bool:
    """Return whether the complete answer to COMMIT arrived, ready for the next query."""
    answered = [place for place, each in enumerate(messages) if each.answers_commit]
    return any(
        position.rule(ready) is not Deed.CUT_BEFORE
        for place in answered
        for ready in messages[place + 1 :]
        if ready.side is Side.BACKEND and ready.kind == b"Z"
    )


def settled(database: Database) -> None:
    """Wait until the server has noticed that its client is gone."""
    eventually(
        lambda: (
            database.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'reconcile'"
            )
            == 0
        )
    )


# A COMMIT with a lost answer


def lose_answer(message: Message) -> Deed:
    return Deed.CUT_BEFORE if message.answers_commit else Deed.PASS


def sever_commit(message: Message) -> Deed:
    return Deed.SEVER if message.commits and message.connection == 1 else Deed.PASS


@contextmanager
def one_generation(database: Database) -> Iterator[Written]:
    """Write one generation; check that the block applies the next file exactly once."""
    run(database.address, 1)
    before = written(database)
    yield before
    assert written(database) == applied_once(before, 2)


def test_the_result_of_a_lost_answer_is_looked_up(database: Database) -> None:
    with one_generation(database), FaultProxy(database, lose_answer) as proxy:
        applied = run(proxy.address, 2)
    assert applied.generation == 2
    # The write was claimed again; the work was not repeated.
    assert sum(each.commits for each in proxy.messages) == 1
    assert sum(each.says(CLAIM) for each in proxy.messages if each.kind == b"P") == 2


def test_a_lost_answer_is_looked_up_until_the_server_is_back(database: Database) -> None:
    with one_generation(database), FaultProxy(database, lose_answer) as proxy:
        proxy.accepts = lambda connection: connection in (1, 7)
        applied = run(proxy.address, 2)
    assert applied.generation == 2


def test_a_lost_answer_of_a_dead_server_is_reported_as_unknown(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "DOUBT_SECONDS", 0.1)
    with one_generation(database), FaultProxy(database, lose_answer) as proxy:
        proxy.accepts = lambda connection: connection == 1
        with pytest.raises(OutcomeUnknown) as error:
            run(proxy.address, 2)
    assert str(error.value) == (
        "the connection was lost during COMMIT, and the database does not answer; "
        "see `reconcile history` for the outcome before you try again"
    )


@contextmanager
def applying_in_doubt(database: Database) -> Iterator[tuple[FaultProxy, Future[Applied]]]:
    """Apply while the COMMIT of the first try hangs; yields when the second try waits for it."""
    with (
        one_generation(database),
        FaultProxy(database, sever_commit) as proxy,
        ThreadPoolExecutor(1) as pool,
    ):
        applying = pool.submit(run, proxy.address, 2)
        eventually(
            lambda: (
                database.value(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND datname = current_database() AND query ~ 'claim_rollout_write'"
                )
                == 1
            )
        )
        yield proxy, applying


def test_a_commit_in_progress_is_waited_for(database: Database) -> None:
    with applying_in_doubt(database) as (proxy, applying):
        proxy.release()
        assert applying.result(60).generation == 2
    assert sum(each.commits for each in proxy.messages) == 1


def test_a_commit_that_never_arrives_is_retried(database: Database) -> None:
    with applying_in_doubt(database) as (proxy, applying):
        proxy.drop()
        assert applying.result(60).generation == 2
    assert sum(each.commits for each in proxy.messages) == 2


def test_a_commit_that_may_still_arrive_is_reported_as_unknown(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "DOUBT_SECONDS", 0.1)
    with one_generation(database), FaultProxy(database, sever_commit) as proxy:
        with pytest.raises(OutcomeUnknown):
            run(proxy.address, 2)
        assert database.value("SELECT generation FROM rollout_state") == 1
        proxy.release()
        assert proxy.delivered.wait(60)


def test_an_upgrade_with_a_lost_answer_is_done_once(empty_database: Database) -> None:
    def lose_first_answer(message: Message) -> Deed:
        return lose_answer(message) if message.connection == 1 else Deed.PASS

    with FaultProxy(empty_database, lose_first_answer) as proxy:
        schema.upgrade(OpenedDatabase.at(proxy.address).engine)
    assert not schema.upgrade(empty_database.engine).changed


def test_a_session_ended_at_commit_is_looked_up(database: Database) -> None:
    run(database.address, 1)
    before = written(database)
    # Deferred, the session ends in the commit: with an answer, not with silence.
    database.execute("""
        CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('public.ended') = 1 THEN
                PERFORM pg_terminate_backend(pg_backend_pid());
            END IF;
            RETURN NULL;
        END $$;
        CREATE SEQUENCE ended;
        CREATE CONSTRAINT TRIGGER end_session AFTER INSERT ON rollout_generation
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION end_session();
    """)
    applied = run(database.address, 2)
    assert applied.generation == 2
    assert database.value("SELECT last_value FROM ended") == 2
    assert written(database) == applied_once(before, 2)


# Held and delayed


@contextmanager
def in_background(address: DatabaseAddress, number: int) -> Iterator[Future[Applied]]:
    """An apply in its own thread."""
    pool = ThreadPoolExecutor(1)
    yield pool.submit(run, address, number)
    pool.shutdown()


def hold(text: str) -> Callable[[Message], Deed]:
    """Hold the first message of the frontend that contains this."""
    return lambda message: (
        Deed.HOLD if message.says(text) and message.side is Side.FRONTEND else Deed.PASS
    )


def waits_for_lock(database: Database, count: int = 1) -> Callable[[], bool]:
    """Return whether this many sessions of the reconciler wait for a lock."""
    return lambda: (
        database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'reconcile' AND wait_event_type = 'Lock'"
        )
        == count
    )


def test_an_apply_before_a_late_commit_answer_makes_a_new_generation(
    database: Database,
) -> None:
    run(database.address, 1)

    def late(message: Message) -> Deed:
        return Deed.HOLD if message.answers_commit else Deed.PASS

    with FaultProxy(database, late) as proxy, in_background(proxy.address, 2) as slow:
        assert proxy.holding.wait(60)
        assert run(database.address, 3).generation == 3
        proxy.release()
        assert slow.result(60).generation == 2
    assert written(database) == Written(3, 3, 7)


@pytest.mark.parametrize("text", ["FOR NO KEY UPDATE", "INTO public.rollout_generation", COMMIT])
def test_an_apply_waits_for_one_whose_message_is_late(database: Database, text: str) -> None:
    run(database.address, 1)
    with (
        FaultProxy(database, hold(text)) as proxy,
        in_background(proxy.address, 2) as slow,
    ):
        assert proxy.holding.wait(60)
        with in_background(database.address, 3) as other:
            eventually(waits_for_lock(database))
            proxy.release()
            assert (slow.result(60).generation, other.result(60).generation) == (2, 3)
    assert written(database) == Written(3, 3, 7)


def test_a_holder_that_falls_silent_loses_the_lock(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(database.address, 1)
    patient = database_apply.IDLE_TIMEOUT
    monkeypatch.setattr(database_apply, "IDLE_TIMEOUT", "50ms")
    with (
        FaultProxy(database, hold("INTO public.rollout_generation")) as proxy,
        in_background(proxy.address, 2) as silent,
    ):
        assert proxy.holding.wait(60)
        monkeypatch.setattr(database_apply, "IDLE_TIMEOUT", patient)
        # The lock is not released there, and still the next apply completes.
        assert run(database.address, 3).generation == 2
        proxy.release()
        assert silent.result(60).generation == 3
    assert written(database) == Written(3, 2, 7)


# Locks of others


def test_a_deadlock_is_retried(database: Database) -> None:
    run(database.address, 1)
    before = written(database)
    # The apply detects the deadlock first and is the one that is cancelled.
    database.execute(
        f"ALTER DATABASE {database.address.parameters['dbname']} SET deadlock_timeout = '10ms'"
    )
    with (
        FaultProxy(database, hold("INTO public.rollout_generation")) as proxy,
        in_background(proxy.address, 2) as applied,
        database.connect() as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("SET deadlock_timeout = '1h'")
        other.execute("UPDATE rollout_state SET applied_at = applied_at")
        assert proxy.holding.wait(60)
        crossing = pool.submit(
            other.execute, "UPDATE rollout_configuration SET updated_at = updated_at"
        )
        eventually(lambda: is_blocked(database, other.info.backend_pid))
        proxy.release()
        crossing.result(60)
        other.commit()
        assert applied.result(60).generation == 2
    assert errors(proxy) == ["40P01"]
    assert written(database) == applied_once(before, 2)


def is_blocked(database: Database, process: int) -> bool:
    """Return whether a server process waits for a lock."""
    return bool(database.value("SELECT cardinality(pg_blocking_pids(%(pid)s)) > 0", pid=process))


def errors(proxy: FaultProxy) -> list[str]:
    """Return the SQLSTATEs of the errors that the server sent."""
    return [
        field[1:].decode()
        for message in proxy.messages
        if (message.side, message.kind) == (Side.BACKEND, b"E")
        for field in message.content.split(b"\0")
        if field.startswith(b"C")
    ]


def test_a_generation_taken_by_another_apply_is_planned_again(database: Database) -> None:
    run(database.address, 1)
    # A writer without the lock: an older release, or a person.
    with (
        FaultProxy(database, hold("INTO public.rollout_generation")) as proxy,
        in_background(proxy.address, 2) as applied,
    ):
        assert proxy.holding.wait(60)
        database.execute("""
            INSERT INTO rollout_generation (generation, file, file_digest, desired, effective, applied_by)
            SELECT 2, file, file_digest, desired, effective, 'hand' FROM rollout_generation;
            UPDATE rollout_state SET generation = 2;
        """)
        proxy.release()
        assert applied.result(60).generation == 3
    assert errors(proxy) == ["23505"]
    assert written(database) == Written(3, 2, 4)


def test_a_serialization_failure_is_retried(database: Database) -> None:
    database.execute("""
        CREATE TABLE parted (part integer, worth integer) PARTITION BY LIST (part);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
        CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
        INSERT INTO parted VALUES (1, 0);
    """)

    def work(connection: DriverConnection) -> None:
        connection.execute("UPDATE public.parted SET worth = worth + 1")

    with FaultProxy(database) as proxy, ThreadPoolExecutor(1) as pool:
        with database.connect() as other:
            # A session that waits for the row finds it in another partition and cannot use it.
            other.execute("UPDATE parted SET part = 2")
            writing = pool.submit(write_transaction, OpenedDatabase.at(proxy.address), work)
            eventually(waits_for_lock(database))
        writing.result(60)
    assert errors(proxy) == ["40001"]
    assert database.rows("SELECT * FROM parted") == [{"part": 2, "worth": 1}]


def test_a_servers_stricter_default_does_not_make_appliers_fail(database: Database) -> None:
    run(database.address, 0)
    database.execute(
        f"ALTER DATABASE {database.address.parameters['dbname']}"
        " SET default_transaction_isolation = 'serializable'"
    )
    with ThreadPoolExecutor(8) as pool, database.connect() as gate:
        gate.execute("SELECT FROM rollout_lock FOR UPDATE")
        appliers = [pool.submit(run, database.address, number) for number in range(1, 9)]
        eventually(waits_for_lock(database, 8))
        gate.rollback()
        generations = {applier.result(60).generation for applier in appliers}
    assert generations == set(range(2, 10))
    assert written(database).history == 1 + 8 * 3


@pytest.mark.parametrize(
    "locking",
    [
        "SELECT FROM rollout_lock FOR UPDATE",
        "SELECT FROM rollout_configuration FOR UPDATE",
        "LOCK TABLE rollout_generation IN EXCLUSIVE MODE",
    ],
)
def test_a_lock_held_too_long_is_reported_and_nothing_is_written(
    database: Database, monkeypatch: pytest.MonkeyPatch, locking: str
) -> None:
    run(database.address, 1)
    before = written(database)
    monkeypatch.setattr(database_apply, "LOCK_TIMEOUT", "20ms")
    with FaultProxy(database) as proxy, database.connect() as holder:
        holder.execute(locking.encode())
        with pytest.raises(Unavailable, match=r"process \d+ .* nothing was written; .*try again"):
            run(proxy.address, 2)
    # A run that has waited so long does not wait again.
    assert errors(proxy) == ["55P03"]
    assert written(database) == before
    assert run(database.address, 2).generation == 2


@pytest.mark.parametrize("loses_next_question", [False, True])
def test_a_lock_that_is_free_again_after_the_wait_is_taken(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, loses_next_question: bool
) -> None:
    """A server that stood still counts that time as waiting for a lock; it may be no primary any more."""
    run(database.address, 1)
    monkeypatch.setattr(database_apply, "LOCK_TIMEOUT", "20ms")
    lost: list[Message] = []
    with database.connect() as holder:
        holder.execute(b"SELECT FROM rollout_configuration FOR UPDATE")

        def release(message: Message) -> Deed:
            if b"55P03" in message.content and not holder.closed:
                holder.close()
            elif loses_next_question and message.says("-- The sessions that hold locks"):
                lost.append(message)
                return Deed.CUT_BEFORE if len(lost) == 1 else Deed.PASS
            return Deed.PASS

        with FaultProxy(database, release) as proxy:
            patient = OpenedDatabase.at(proxy.address, patience_seconds=60)
            assert apply(patient, application(2)).generation == 2
    assert errors(proxy) == ["55P03"]
    assert bool(lost) is loses_next_question


def test_a_lock_that_is_held_after_the_second_wait_is_reported(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(database.address, 1)
    monkeypatch.setattr(database_apply, "LOCK_TIMEOUT", "20ms")
    told: list[str] = []
    with FaultProxy(database) as proxy, database.connect() as holder:
        holder.execute(b"SELECT FROM rollout_configuration FOR UPDATE")
        patient = OpenedDatabase.at(proxy.address, on_wait=told.append, patience_seconds=60)
        with pytest.raises(Unavailable, match=r"holds the lock: process \d+ .*; try again"):
            apply(patient, application(2))
    assert errors(proxy) == ["55P03", "55P03"]
    assert [each.partition("holds the lock: ")[2][:8] for each in told] == ["process "]


@pytest.mark.parametrize(
    ("slow_tries", "patience_seconds", "tries"),
    [(1, 60, 2), (5, 60, 2), (5, 0, 1)],
    ids=["once", "each-time", "without-patience"],
)
def test_a_statement_at_its_time_limit_is_tried_once_more(
    database: Database, slow_tries: int, patience_seconds: int, tries: int
) -> None:
    """A server that stood still counts that time too."""
    made: list[int] = []

    def work(connection: DriverConnection) -> None:
        made.append(len(made))
        if len(made) <= slow_tries:
            connection.execute("SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(60)")

    patient = OpenedDatabase.at(database.address, patience_seconds=patience_seconds)
    with nullcontext() if slow_tries == 1 else pytest.raises(Unavailable, match="took too long"):
        write_transaction(patient, work)
    assert len(made) == tries


# Work that is given up and not repeated


def test_a_lasting_error_is_reported_after_a_few_tries(database: Database) -> None:
    tries = 0

    def work(connection: DriverConnection) -> None:
        nonlocal tries
        tries += 1
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Unavailable, match="nothing was written; try again"):
        write_transaction(OpenedDatabase.at(database.address), work)
    assert tries == transactions.TRIES


def test_a_permanent_error_is_not_retried(database: Database) -> None:
    tries = 0

    def work(connection: DriverConnection) -> None:
        nonlocal tries
        tries += 1
        connection.execute("SELECT 1/0")

    with pytest.raises(ReconcilerError, match="division by zero"):
        write_transaction(OpenedDatabase.at(database.address), work)
    assert tries == 1


def test_an_apply_waits_for_a_server_that_restarts(database: Database) -> None:
    with FaultProxy(database) as proxy:
        proxy.accepts = lambda connection: connection == transactions.TRIES
        assert run(proxy.address, 1).generation == 1


def test_a_wrong_host_name_is_not_retried(database: Database) -> None:
    with FaultProxy(database) as proxy:
        wrong = DatabaseAddress({**proxy.address.parameters, "dbname": "nowhere"})
        with pytest.raises(ReconcilerError, match="does not exist"):
            run(wrong, 1)
    assert errors(proxy) == ["3D000"]


def test_a_silent_server_is_given_up_after_a_minute(database: Database) -> None:
    with FaultProxy(database) as proxy:
        engine = OpenedDatabase.at(proxy.address).engine
        with engine.connect() as connection:
            wire = connection.connection.driver_connection
            assert isinstance(wire, psycopg.Connection)
            with socket.socket(fileno=os.dup(wire.fileno())) as end:
                idle, between, tries = (
                    end.getsockopt(socket.IPPROTO_TCP, option)
                    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                )
                unanswered = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert (idle + between * tries, unanswered) == (60, 60_000)
