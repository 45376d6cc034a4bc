"""An apply with a faulty database: one clear line, exit code 1, and no partial write."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from reconciler.database.address import DatabaseAddress
from reconciler.database.connection import create_engine
from reconciler.database.embedded import EmbeddedServer
from reconciler.database.schema import upgrade
from tests.site import Completed, Site


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server for one test that the test may damage, with the newest schema."""
    server = EmbeddedServer(tmp_path / "own")
    upgrade(create_engine(DatabaseAddress.parse(server.start())))
    yield server
    server.stop()


def assert_one_clear_line(done: Completed, *words: str) -> None:
    assert (done.exit_code, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def written(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT (SELECT count(*) FROM rollout_configuration),"
            " (SELECT count(*) FROM rollout_history), (SELECT count(*) FROM rollout_generation)"
        ).fetchall()


def test_a_wrong_password(site: Site, server: EmbeddedServer, tmp_path: Path) -> None:
    with psycopg.connect(server.start()) as connection:
        connection.execute("CREATE ROLE app LOGIN PASSWORD 'right'")
    server.stop()
    (tmp_path / "own" / "postgres" / "pg_hba.conf").write_text("local all all scram-sha-256\n")
    address = DatabaseAddress.parse(server.start())
    wrong = DatabaseAddress({**address.parameters, "user": "app", "password": "wr0ng-pass"})

    done = site.reconcile(env={"DATABASE_URL": wrong.url})

    assert_one_clear_line(done, "password authentication failed", "set the right user and password")
    assert "wr0ng" not in done.stderr


def test_a_server_killed_in_the_middle_of_an_apply(site: Site, server: EmbeddedServer) -> None:
    url = server.start()
    holder = psycopg.connect(url)
    holder.execute("SELECT FROM rollout_lock FOR UPDATE")
    process = site.start(env={"DATABASE_URL": url})
    watcher = psycopg.connect(url, autocommit=True)
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
    # In the transaction, waiting for the lock.
    while not watcher.execute(waiting).fetchone():
        assert process.poll() is None
    process_id = server.status().process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=60)
    holder.close()
    watcher.close()

    waiting_line, _, error = stderr.partition("\n")
    assert waiting_line.startswith("waiting for process ")
    assert_one_clear_line(
        Completed(process.returncode, stdout, error), "check that the server runs"
    )
    assert written(server.start()) == [(0, 0, 0)]


def test_a_full_disk(site: Site) -> None:
    # The server's own message, sent where a real server sends it: in the middle of the writes.
    site.database.execute("""
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE 'could not extend file "base/5/16384": No space left on device'
                USING ERRCODE = 'disk_full';
        END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON rollout_generation
        FOR EACH ROW EXECUTE FUNCTION full_disk();
    """)

    done = site.reconcile()

    assert_one_clear_line(done, "No space left on device", "nothing was written")
    assert written(site.database.url) == [(0, 0, 0)]


def test_a_missing_permission(site: Site) -> None:
    name = site.database.value("SELECT current_database()")
    site.database.execute(f"""
        CREATE ROLE "reader_{name}" LOGIN;
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO "reader_{name}";
    """)
    reader = DatabaseAddress({**site.database.address.parameters, "user": f"reader_{name}"})
    try:
        done = site.reconcile(env={"DATABASE_URL": reader.url})
    finally:
        site.database.execute(f'DROP OWNED BY "reader_{name}"; DROP ROLE "reader_{name}"')

    assert_one_clear_line(done, "permission denied", "use an account with this permission")
    assert written(site.database.url) == [(0, 0, 0)]
