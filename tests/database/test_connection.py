"""A database error is one line, with what its reader can do about it."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from reconciler.database.address import DatabaseAddress, embedded_address
from reconciler.database.connection import create_engine, translated_errors
from reconciler.database.embedded import EmbeddedServer
from reconciler.errors import ReconcilerError, SetupInvalid, Unavailable
from tests.postgres import Database

PASSWORD = "S3cret-5%@:/"
WRONG = "Wr0ng-5%@:/"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseAddress]:
    """A server that requires a password; the account `app` has few rights."""
    folder = tmp_path_factory.mktemp("guarded") / ".reconcile"
    server = EmbeddedServer(folder)
    with psycopg.connect(server.start()) as connection:
        connection.execute("CREATE TABLE precious AS SELECT 7 AS number")
        connection.execute(f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'".encode())
        connection.execute("CREATE ROLE crowd LOGIN CONNECTION LIMIT 0")
        connection.execute("CREATE ROLE retired")
        connection.execute("CREATE ROLE barred LOGIN")
    server.stop()
    rules = "local all postgres,crowd,retired,missing trust\nlocal all app scram-sha-256\n"
    (folder / "postgres" / "pg_hba.conf").write_text(rules)
    yield DatabaseAddress.parse(server.start())
    server.stop()


def changed(address: DatabaseAddress, **parameters: str) -> DatabaseAddress:
    return DatabaseAddress({**address.parameters, **parameters})


def error_of(address: DatabaseAddress, statement: str = "SELECT 1") -> ReconcilerError:
    """Return the error of a statement, after a check that it is one line without a secret."""
    engine = create_engine(address)
    with (
        pytest.raises(ReconcilerError) as error,
        translated_errors(address),
        engine.begin() as connection,
    ):
        connection.execute(text(statement))
    said = str(error.value)
    assert len(said.splitlines()) == 1
    for secret in (PASSWORD, WRONG, "5%25%40%3A%2F", "postgresql://"):
        assert secret not in said
    assert error.value.__cause__ is not None
    return error.value


@pytest.mark.parametrize(
    ("parameters", "kind", "said", "advice"),
    [
        (
            {"user": "app", "password": WRONG},
            SetupInvalid,
            'password authentication failed for user "app"',
            "set the right user and password",
        ),
        ({"user": "app"}, SetupInvalid, "no password supplied", "set the right user and password"),
        (
            {"dbname": "nowhere"},
            SetupInvalid,
            'database "nowhere" does not exist',
            "create this one",
        ),
        ({"user": "missing"}, SetupInvalid, 'role "missing" does not exist', "set a user"),
        ({"user": "retired"}, SetupInvalid, "is not permitted to log in", "set a user"),
        ({"user": "barred"}, SetupInvalid, "no pg_hba.conf entry", "set a user"),
        ({"user": "crowd"}, Unavailable, "too many connections", "when fewer connections are open"),
        (
            {"host": "/nowhere"},
            Unavailable,
            "No such file or directory",
            "check that the server runs",
        ),
    ],
)
def test_a_refused_connection_names_the_setting(
    guarded: DatabaseAddress,
    parameters: dict[str, str],
    kind: type[ReconcilerError],
    said: str,
    advice: str,
) -> None:
    address = changed(guarded, **parameters)
    error = error_of(address)
    assert type(error) is kind
    assert said in str(error)
    assert advice in str(error)
    assert str(error).startswith(address.describe())


def test_the_right_password_connects(guarded: DatabaseAddress) -> None:
    engine = create_engine(changed(guarded, user="app", password=PASSWORD))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT current_user")) == "app"


def test_a_closed_port_is_unavailable() -> None:
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        address = DatabaseAddress.parse(
            f"postgresql://a:{'x' * 9}@127.0.0.1:{bound.getsockname()[1]}/d"
        )
        error = error_of(address)
    assert type(error) is Unavailable
    assert "Connection refused" in str(error)


def test_a_server_that_never_answers_is_unavailable() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        error = error_of(
            DatabaseAddress.parse(f"postgresql://127.0.0.1:{port}/d?connect_timeout=2")
        )
    assert type(error) is Unavailable
    assert "timeout" in str(error)


def test_a_missing_permission_is_named(guarded: DatabaseAddress) -> None:
    error = error_of(changed(guarded, user="app", password=PASSWORD), "DELETE FROM public.precious")
    assert type(error) is SetupInvalid
    assert "permission denied for table precious; use an account with this permission" in str(error)


@pytest.mark.parametrize(
    ("statement", "kind", "said"),
    [
        ("SET TRANSACTION READ ONLY; CREATE TABLE t ()", SetupInvalid, "read-only transaction"),
        ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(60)", Unavailable, "took too long"),
        ("SET LOCAL transaction_timeout = 1; SELECT pg_sleep(60)", Unavailable, "took too long"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", Unavailable, "nothing was written"),
        ("SELECT 1/0", ReconcilerError, "division by zero (22012)"),
        ("SELECT E'\\x1b' || 1::text || 'x'::integer", ReconcilerError, "(22P02)"),
        *(
            (f"DO $$ BEGIN RAISE 'no luck' USING ERRCODE = '{state}'; END $$", Unavailable, said)
            for state, said in [
                ("53100", "no luck; nothing was written; free resources"),
                ("53200", "no luck; nothing was written; free resources"),
                (
                    "57P03",
                    "no luck; the server or its operator ended the connection: nothing was written",
                ),
                ("58030", "no luck; nothing was written; see the server's log"),
                (
                    "40001",
                    "no luck; another transaction wrote at the same time: nothing was written",
                ),
                ("08006", "no luck; the connection was lost: nothing was written"),
            ]
        ),
    ],
)
def test_a_failed_statement_gives_the_next_step(
    empty_database: Database, statement: str, kind: type[ReconcilerError], said: str
) -> None:
    error = error_of(empty_database.address, statement)
    assert type(error) is kind
    assert said in str(error)


def test_a_held_lock_is_unavailable(empty_database: Database) -> None:
    empty_database.execute("CREATE TABLE held ()")
    with empty_database.connect() as holder:
        holder.execute("LOCK TABLE held")
        error = error_of(
            empty_database.address, "SET LOCAL lock_timeout = 1; LOCK TABLE public.held"
        )
    assert type(error) is Unavailable
    assert "another transaction holds the lock: nothing was written; try again" in str(error)


def test_a_server_killed_in_the_middle_is_unavailable(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / ".reconcile")
    address = embedded_address(tmp_path / "rollout.yaml")
    assert address.describe() == "the embedded database"
    with create_engine(address).connect() as connection:
        connection.execute(text("CREATE TABLE public.half ()"))
        server.stop()
        with (
            pytest.raises(Unavailable, match="nothing was written; try again") as error,
            translated_errors(address),
        ):
            connection.execute(text("CREATE TABLE public.other_half ()"))
    assert len(str(error.value).splitlines()) == 1
    with create_engine(embedded_address(tmp_path / "rollout.yaml")).connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('public.half')")) is None
    server.stop()


def test_a_password_in_a_server_message_is_masked(empty_database: Database) -> None:
    address = changed(empty_database.address, password=PASSWORD)
    escaped = PASSWORD.replace(":", r"\:").replace("%", "%%")
    error = error_of(address, f"DO $$ BEGIN RAISE 'found {escaped}'; END $$")
    assert "found ***" in str(error)


def test_other_errors_pass_unchanged(empty_database: Database) -> None:
    with pytest.raises(KeyError, match="mine"), translated_errors(empty_database.address):
        raise KeyError("mine")


def test_a_connection_works_behind_a_transaction_pooler(empty_database: Database) -> None:
    engine = create_engine(empty_database.address)
    with engine.connect() as connection:
        for _ in range(10):
            connection.execute(text("SELECT :number"), {"number": 1})
        assert connection.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0
        settings = connection.execute(
            text("SELECT current_setting('application_name'), current_setting('client_encoding')")
        ).one()
    assert tuple(settings) == ("reconcile", "UTF8")
    assert (
        empty_database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reconcile' AND datname = current_database()"
        )
        == 0
    )


def test_settings_in_the_address_are_kept(empty_database: Database) -> None:
    address = changed(empty_database.address, application_name="nightly", options="-c work_mem=7MB")
    with create_engine(address).connect() as connection:
        assert connection.scalar(text("SHOW application_name")) == "nightly"
        assert connection.scalar(text("SHOW work_mem")) == "7MB"


def test_a_server_that_is_too_old_is_refused_with_its_version(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No server below 14 runs here, so the limit is above the one that does.
    monkeypatch.setattr("reconciler.database.server.OLDEST_POSTGRES", 99)
    engine = create_engine(database.address)

    with pytest.raises(SetupInvalid, match=r": Postgres \d+ is too old; use Postgres 99 or newer$"):
        engine.connect()
