"""An account that may create objects in `public` takes no rights by making the rollout's objects first."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from reconciler.database import schema, schema_objects
from reconciler.errors import SetupInvalid
from tests.database.hosts import drop_role, make_host, new_role
from tests.database.role_matrix import FUNCTIONS, TABLES, is_allowed, rights
from tests.postgres import Database
from tests.site import Site

FUNCTION = """
    CREATE FUNCTION public.planted() RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'planted code runs as %', current_user; END $$;
"""
PLANTED = {
    "a view as the version": (
        FUNCTION
        + "CREATE VIEW public.rollout_schema_version AS SELECT public.planted() AS version_num;"
    ),
    "a policy on the version": (
        FUNCTION
        + "CREATE TABLE public.rollout_schema_version (version_num text);"
        + "INSERT INTO public.rollout_schema_version VALUES ('0001');"
        + "ALTER TABLE public.rollout_schema_version ENABLE ROW LEVEL SECURITY;"
        + "CREATE POLICY planted ON public.rollout_schema_version USING (public.planted() = '');"
        + "GRANT SELECT ON public.rollout_schema_version TO PUBLIC;"
    ),
    "a view as the lock": (
        FUNCTION + "CREATE VIEW public.rollout_lock AS SELECT public.planted() AS name;"
    ),
    "the lock": "CREATE TABLE public.rollout_lock (name text);",
    "the function of a trigger": (
        "CREATE FUNCTION public.keep_rollout_membership() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'planted'; END $$;"
    ),
    "the function of workers": (
        "CREATE FUNCTION public.record_rollout_job(text, uuid, text, boolean, double precision, text)"
        " RETURNS void LANGUAGE sql AS $$ SELECT $$;"
    ),
    "the lists": "CREATE TABLE public.rollout_membership (list text);",
    "the configuration": "CREATE TABLE public.rollout_configuration (feature_name text);",
    "the repositories": "CREATE TABLE public.repositories (id uuid PRIMARY KEY);",
    "the history": "CREATE TABLE public.rollout_history (id uuid);",
}
OF_A_SERVICE = {"the configuration", "the repositories", "the history"}
"""What a service with its own tables has already."""


@contextmanager
def neighbour(database: Database) -> Iterator["psycopg.Connection[Any]"]:
    """A session of a login that may create objects in `public`, as every login may on Postgres 14."""
    role = new_role(database, "neighbour")
    try:
        database.execute(f"GRANT CREATE ON SCHEMA public TO PUBLIC; ALTER ROLE {role} LOGIN")
        with psycopg.connect(f"{database.url}&user={role}".replace("postgres@", "")) as session:
            yield session
    finally:
        drop_role(database, role)


@pytest.mark.parametrize("hosted", [False, True], ids=["empty", "service"])
@pytest.mark.parametrize("planted", PLANTED)
def test_an_upgrade_refuses_a_planted_object_and_names_its_owner(
    empty_database: Database, planted: str, hosted: bool
) -> None:
    if hosted and planted in OF_A_SERVICE:
        return
    if hosted:
        make_host(empty_database)
    with neighbour(empty_database) as session:
        session.execute(PLANTED[planted].encode())
        session.commit()
        for dry_run in (True, False):
            with pytest.raises(SetupInvalid, match=f"belongs to {session.info.user}; ") as raised:
                schema.upgrade(empty_database.engine, dry_run=dry_run)
            assert "nothing was written" in str(raised.value)
        assert empty_database.value("SELECT to_regclass('public.rollout_state')") is None
        session.execute(f"DROP OWNED BY {session.info.user} CASCADE".encode())
        session.commit()

        assert schema.upgrade(empty_database.engine).changed


@pytest.mark.parametrize("planted", ["a view as the version", "a policy on the version"])
def test_no_command_runs_planted_code_before_the_first_upgrade(
    site: Site, empty_database: Database, planted: str
) -> None:
    owner = new_role(empty_database, "owner")
    name = empty_database.value("SELECT current_database()")
    empty_database.execute(f"ALTER ROLE {owner} LOGIN; ALTER DATABASE {name} OWNER TO {owner}")
    try:
        with neighbour(empty_database) as session:
            session.execute(PLANTED[planted].encode())
            session.commit()
            for role in ("postgres", owner):
                url = f"{empty_database.url}&user={role}".replace("postgres@", "")
                acts = Site(site.folder, site.remote, Database(url))
                for command in (
                    ("db", "status"),
                    ("db", "upgrade"),
                    ("--dry-run",),
                    ("stop", "--feature", "capture", "--reason", "test", "--no-write-back"),
                ):
                    done = acts.reconcile(*command)
                    assert "planted code" not in done.stdout + done.stderr, (role, command)
    finally:
        empty_database.execute(f"ALTER DATABASE {name} OWNER TO postgres")
        drop_role(empty_database, owner)


def test_a_function_that_changes_hands_is_not_made_again(database: Database) -> None:
    role = new_role(database, "neighbour")
    try:
        database.execute(
            f"GRANT CREATE ON SCHEMA public TO {role};"
            f"ALTER FUNCTION keep_rollout_membership() OWNER TO {role}"
        )
        with pytest.raises(SetupInvalid, match=f"keep_rollout_membership.* belongs to {role}"):
            schema_objects.repair(database.engine)
    finally:
        database.execute("ALTER FUNCTION keep_rollout_membership() OWNER TO postgres")
        drop_role(database, role)


def test_the_owner_of_the_database_adopts_tables_of_its_own(empty_database: Database) -> None:
    owner = new_role(empty_database, "owner")
    name = empty_database.value("SELECT current_database()")
    try:
        empty_database.execute(f"ALTER DATABASE {name} OWNER TO {owner}")
        make_host(empty_database)
        for row in empty_database.rows(TABLES):
            empty_database.execute(f"ALTER TABLE {row['relname']} OWNER TO {owner}")

        assert schema.upgrade(empty_database.engine).changed
        assert not schema.upgrade(empty_database.engine).changed
    finally:
        empty_database.execute(
            f"ALTER DATABASE {name} OWNER TO postgres; REASSIGN OWNED BY {owner} TO postgres"
        )
        drop_role(empty_database, owner)


@pytest.mark.parametrize("hosted", [False, True], ids=["empty", "service"])
def test_default_privileges_of_a_platform_give_no_right(
    empty_database: Database, hosted: bool
) -> None:
    if hosted:
        make_host(empty_database)
    with neighbour(empty_database) as session:
        role = session.info.user
        for what in ("TABLES", "FUNCTIONS", "SEQUENCES"):
            empty_database.execute(
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {what} TO {role}, PUBLIC"
            )
        schema.upgrade(empty_database.engine)

        with empty_database.connect() as catalog:
            tables = [name for (name,) in catalog.execute(TABLES.encode()).fetchall()]
            calls = catalog.execute(FUNCTIONS.replace("%%", "%").encode()).fetchall()
        of_the_service = {
            row["name"]
            for row in empty_database.rows(
                "SELECT name FROM rollout_adopted_object WHERE kind IN ('table', 'view')"
            )
        }
        own = [each for each in tables if each not in of_the_service]
        found = {each: rights(session, each, []) for each in own}
        allowed = {name for name, call in calls if is_allowed(session, call)}

    assert {each: right for each, right in found.items() if right != "-"} == {}
    assert not any(
        name.startswith(("record_rollout_job", "prune_", "categorize_")) for name in allowed
    )
