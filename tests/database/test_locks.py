"""The lock of writers: a row that only appliers can lock; a writer that waits names the holder."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg.errors import CheckViolation, InsufficientPrivilege
from sqlalchemy import text

from reconciler.database import apply as database_apply
from reconciler.database import locks, schema, schema_objects
from reconciler.database.roles import apply_roles
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.database.transactions import write_transaction
from reconciler.errors import SetupInvalid, Unavailable
from reconciler.operations import safeguard
from reconciler.operations.reconcile import Permission, apply
from reconciler.planning.guard_names import Allowed, GuardName
from tests.database.test_roles import application
from tests.eventually import eventually
from tests.postgres import Database
from tests.site import Site

HOLD = "SELECT FROM rollout_lock FOR UPDATE"
LOCKS_OF_OLDER_RELEASES = (0x726F6C6C6F757430, 0x726F6C6C6F757431)
MODES = (
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)


def write(database: Database, waits: list[str] | None = None) -> None:
    """Apply, upgrade, repair, grant the roles and stop a feature."""
    said = [] if waits is None else waits
    opened = OpenedDatabase(database.address, database.engine, said.append)
    schema.upgrade(database.engine, on_wait=said.append)
    apply(opened, application(), Permission(frozenset(map(Allowed, GuardName))))
    schema_objects.repair(database.engine, on_wait=said.append)
    apply_roles(opened)
    safeguard.stop(opened, "another", by="a test", reason="it hurts")


@contextmanager
def login(database: Database, name: str) -> Iterator["psycopg.Connection[Any]"]:
    """A session of a login without rights."""
    role = f"{name}_{database.value('SELECT current_database()')}"
    database.execute(f"CREATE ROLE {role} LOGIN")
    try:
        url = re.sub(r"postgresql://[^/?]*@", "postgresql://", database.url)
        with psycopg.connect(f"{url}&user={role}", application_name="neighbour") as connection:
            yield connection
    finally:
        database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def lock_all(connection: "psycopg.Connection[Any]") -> int:
    """Take each advisory lock and each lock on a relation that this session gets; return their number."""
    for number in (*LOCKS_OF_OLDER_RELEASES, *range(-50, 50)):
        connection.execute("SELECT pg_advisory_lock(%s::bigint)", (number,))
        connection.execute("SELECT pg_advisory_xact_lock(%s::bigint)", (number,))
    taken = 0
    relations = connection.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'v', 'p')"
        " AND (relnamespace = 'public'::regnamespace"
        " OR relname IN ('pg_class', 'pg_proc', 'pg_locks', 'pg_attribute', 'pg_authid', 'pg_database'))"
    ).fetchall()
    attempts = [
        *(f"LOCK TABLE {relation} IN {mode} MODE" for (relation,) in relations for mode in MODES),
        *(f"SELECT FROM {relation} FOR UPDATE" for (relation,) in relations),
        *(f"SELECT FROM {relation} FOR KEY SHARE" for (relation,) in relations),
    ]
    for attempt in attempts:
        try:
            with connection.transaction():
                connection.execute(attempt.encode())
            taken += 1
        except psycopg.Error:
            continue
    return taken


@pytest.mark.parametrize("has_schema", [True, False], ids=["installed", "empty"])
def test_every_lock_of_a_login_without_rights_stops_no_writer(
    database: Database, empty_database: Database, has_schema: bool
) -> None:
    chosen = database if has_schema else empty_database
    waits: list[str] = []

    with login(chosen, "neighbour") as neighbour:
        # It may read catalogs, like every role.
        assert lock_all(neighbour) > 0
        write(chosen, waits)

    assert waits == []
    assert chosen.value("SELECT generation FROM rollout_state") == 1


def test_only_appliers_can_lock_the_row_and_none_the_table(database: Database) -> None:
    apply_roles(OpenedDatabase.at(database.address))

    with database.connect() as connection:
        may = []
        for role in ("rollout_reader", "rollout_worker", "rollout_safeguard", "rollout_reconciler"):
            for statement in (HOLD, *(f"LOCK TABLE rollout_lock IN {mode} MODE" for mode in MODES)):
                try:
                    with connection.transaction():
                        connection.execute(f"SET LOCAL ROLE {role}".encode())
                        connection.execute(statement.encode())
                        may.append((role, statement))
                except InsufficientPrivilege:
                    continue
    # The weakest lock waits for no writer and holds none up.
    assert may == [
        ("rollout_reconciler", HOLD),
        ("rollout_reconciler", "LOCK TABLE rollout_lock IN ACCESS SHARE MODE"),
    ]


def test_an_applier_cannot_remove_or_rename_the_lock(database: Database) -> None:
    apply_roles(OpenedDatabase.at(database.address))
    for statement in (
        "DELETE FROM rollout_lock",
        "TRUNCATE rollout_lock",
        "INSERT INTO rollout_lock VALUES ('writer')",
        "UPDATE rollout_lock SET name = 'another'",
    ):
        with database.connect() as connection:
            connection.execute("SET ROLE rollout_reconciler")
            with pytest.raises((InsufficientPrivilege, CheckViolation)):
                connection.execute(statement.encode())


def test_default_privileges_give_no_right_on_the_lock(empty_database: Database) -> None:
    with login(empty_database, "platform") as neighbour:
        role = neighbour.info.user
        empty_database.execute(
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {role}, PUBLIC"
        )
        schema.upgrade(empty_database.engine)
        for statement in (
            HOLD,
            "SELECT FROM rollout_lock",
            "LOCK TABLE rollout_lock IN ACCESS SHARE MODE",
        ):
            with pytest.raises(InsufficientPrivilege), neighbour.transaction():
                neighbour.execute(statement.encode())
        empty_database.execute(
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM {role}, PUBLIC"
        )


def test_a_writer_that_waits_names_the_holder(database: Database) -> None:
    waits: list[str] = []
    with ThreadPoolExecutor(1) as pool, database.connect() as holder:
        holder.execute("SET application_name = 'another apply'; SET timezone = 'UTC'")
        pid, role, since = holder.execute(
            "SELECT pg_backend_pid(), current_user, to_char(now(), 'YYYY-MM-DD HH24:MI:SS')"
        ).fetchone() or (None, None, None)
        holder.execute(HOLD)
        writing = pool.submit(write, database, waits)
        eventually(lambda: bool(waits))
        holder.commit()
        writing.result(60)

    assert waits[0] == (
        f"waiting for process {pid} (another apply, role {role}, idle in transaction, in a transaction since "
        f"{since} UTC), which holds the lock of writers"
    )


def test_a_holder_of_another_account_is_named_without_its_times(database: Database) -> None:
    opened = OpenedDatabase.at(database.address)
    apply_roles(opened)
    waits: list[str] = []
    with login(database, "applier") as applier, database.connect() as holder:
        database.execute(f"GRANT rollout_reconciler TO {applier.info.user}")
        holder.execute(HOLD)
        pid = holder.info.backend_pid
        seen = Database(f"{database.url}&user={applier.info.user}")
        with pytest.raises(Unavailable, match=f"process {pid} .* is hidden from this account"):
            write_transaction(
                OpenedDatabase.at(seen.address),
                lambda connection: locks.lock_writers(
                    connection, longest_wait="20ms", on_wait=waits.append
                ),
            )
    assert len(waits) == 1


def test_an_upgrade_and_a_grant_of_roles_end_in_time_and_name_the_holder(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LONGEST_WAIT", "20ms")
    with database.connect() as holder:
        holder.execute(HOLD)
        pid = holder.info.backend_pid
        for act in (
            lambda: schema.upgrade(database.engine),
            lambda: schema_objects.repair(database.engine),
            lambda: apply_roles(OpenedDatabase.at(database.address)),
        ):
            with pytest.raises(Unavailable, match=f"process {pid} .*nothing was written"):
                act()


def test_a_table_lock_that_stops_an_apply_is_reported_with_its_holder(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_apply, "LOCK_TIMEOUT", "20ms")
    with database.connect() as holder, database.connect() as reader:
        holder.execute("LOCK TABLE rollout_configuration IN EXCLUSIVE MODE")
        reader.execute("SELECT * FROM rollout_configuration")
        with pytest.raises(Unavailable) as raised:
            apply(OpenedDatabase.at(database.address), application())
        assert f"process {holder.info.backend_pid} " in str(raised.value)
        assert f"process {reader.info.backend_pid} " not in str(raised.value)


def test_a_missing_row_is_reported_and_repaired(database: Database) -> None:
    database.execute("DELETE FROM rollout_lock")
    with pytest.raises(SetupInvalid, match="run: reconcile db upgrade"):
        apply(OpenedDatabase.at(database.address), application())

    schema.upgrade(database.engine)

    assert not apply(OpenedDatabase.at(database.address), application()).plan.is_refused


def test_the_program_names_the_writer_that_it_waits_for(site: Site) -> None:
    with site.database.connect() as holder:
        holder.execute(HOLD)
        process = site.start()
        assert process.stderr is not None
        line = process.stderr.readline()
        holder.rollback()
        process.communicate(timeout=60)
        pid = holder.info.backend_pid

    assert line.startswith(f"waiting for process {pid} (")
    assert process.returncode == 0


# Releases before the lock of writers


@pytest.fixture
def older(empty_database: Database) -> Database:
    """A database as the last release before the lock left it."""
    config = Config()
    config.set_main_option("script_location", "reconciler.database:migrations")
    with empty_database.engine.connect() as connection:
        config.attributes["connection"] = connection
        config.attributes["after_revision"] = None
        command.upgrade(config, "0005")
        connection.commit()
    return empty_database


def test_an_upgrade_waits_for_an_apply_of_an_older_release(
    older: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "LOCK_TRIES", 1)
    with older.connect() as old_apply:
        # What an older release does first.
        old_apply.execute("SELECT version_num FROM rollout_schema_version")
        old_apply.execute("SELECT pg_advisory_xact_lock(%s)", (LOCKS_OF_OLDER_RELEASES[1],))
        with pytest.raises(Unavailable, match=f"process {old_apply.info.backend_pid} "):
            schema.upgrade(older.engine)
        assert older.value("SELECT version_num FROM rollout_schema_version") == "0005"
        old_apply.commit()
        assert schema.upgrade(older.engine).changed


def test_an_older_release_sees_the_new_revision_after_an_upgrade(older: Database) -> None:
    with ThreadPoolExecutor(1) as pool, older.engine.connect() as upgrade:
        upgrade.execute(text("LOCK TABLE public.rollout_schema_version IN ACCESS EXCLUSIVE MODE"))
        reading = pool.submit(older.value, "SELECT version_num FROM rollout_schema_version")
        eventually(lambda: waits_for_a_lock(older))
        upgrade.execute(text("UPDATE public.rollout_schema_version SET version_num = '0006'"))
        upgrade.commit()
        # An older release refuses a revision that it does not know.
        assert reading.result(60) == "0006"


def waits_for_a_lock(database: Database) -> bool:
    return bool(database.value("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"))


def test_two_first_upgrades_make_one_schema(empty_database: Database) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(schema.upgrade, [empty_database.engine] * 2))
    assert sorted(each.changed for each in done) == [False, True]
