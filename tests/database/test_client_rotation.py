"""A client whose password changes while it follows the database."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from reconciler.database import schema
from reconciler.database.address import DatabaseAddress
from reconciler.database.connection import create_engine
from reconciler.database.embedded import EmbeddedServer
from rollout_client import RolloutClient
from tests.eventually import DEADLINE_SECONDS, eventually

REPOSITORY = "10000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def admin_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that asks `app` for a password."""
    folder = tmp_path_factory.mktemp("rotation") / "own"
    server = EmbeddedServer(folder)
    url = server.start()
    try:
        hba = folder / "postgres" / "pg_hba.conf"
        hba.write_text("local all postgres trust\nlocal all app scram-sha-256\n")
        engine = create_engine(DatabaseAddress.parse(url))
        schema.upgrade(engine)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CREATE ROLE app LOGIN SUPERUSER PASSWORD 'first'")
            connection.execute(
                "INSERT INTO repositories (id, owner, name, full_name)"
                f" VALUES ('{REPOSITORY}', 'acme', 'site', 'acme/site')"
            )
            connection.execute(
                "INSERT INTO rollout_configuration (feature_name, rollout_percentage) VALUES ('f', 100)"
            )
        yield url
    finally:
        server.stop()


def by_function(url: str, folder: Path) -> tuple[str | Callable[[], str], Callable[[str], None]]:
    secret = folder / "url"
    return secret.read_text, lambda password: _write(secret, make_conninfo(url, password=password))


def by_passfile(url: str, folder: Path) -> tuple[str | Callable[[], str], Callable[[str], None]]:
    passfile = folder / "passfile"
    return (
        make_conninfo(url, passfile=str(passfile)),
        lambda password: _write(passfile, f"*:*:*:app:{password}\n"),
    )


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


@pytest.mark.parametrize("way", [by_function, by_passfile])
def test_a_new_password_is_used_for_the_next_connection(
    admin_url: str,
    tmp_path: Path,
    way: Callable[[str, Path], tuple[str | Callable[[], str], Callable[[str], None]]],
) -> None:
    parameters = {k: str(v) for k, v in conninfo_to_dict(admin_url).items() if k != "user"}
    address, set_password = way(make_conninfo(user="app", **parameters), tmp_path)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("ALTER ROLE app PASSWORD 'first'")
        admin.execute("UPDATE rollout_configuration SET emergency_stop = false")
        set_password("first")
        with closing(RolloutClient(address)) as client:
            assert client.is_eligible(REPOSITORY, "f", wait=DEADLINE_SECONDS)

            admin.execute("ALTER ROLE app PASSWORD 'second'")
            set_password("second")
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
            )
            admin.execute("UPDATE rollout_configuration SET emergency_stop = true")

            eventually(lambda: not client.is_eligible(REPOSITORY, "f"))
            eventually(lambda: client.status().failure is None)
