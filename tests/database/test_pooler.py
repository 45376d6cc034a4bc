"""Behind a pooler that gives each transaction another connection, everything works as without one."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.database import schema, transactions
from reconciler.database.driver import DriverConnection
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.database.transactions import write_transaction
from reconciler.operations.reconcile import apply, preview
from reconciler.planning.application import Application
from reconciler.planning.plan_inputs import Source
from reconciler.rollout_file import parse_rollout
from tests.merges import apply_fifty_at_once, checkouts, percentage, reset
from tests.pooler import needs_pgbouncer, pooled
from tests.postgres import Database
from tests.replay import live_state, replayed_state
from tests.site import Site

pytestmark = needs_pgbouncer

EVERYTHING = """
    SELECT
        (SELECT count(*) FROM rollout_history) AS history,
        (SELECT jsonb_agg(to_jsonb(state)) FROM rollout_state AS state) AS state,
        (SELECT jsonb_agg(to_jsonb(configuration)) FROM rollout_configuration AS configuration) AS live
"""
LEFT_IN_THE_SESSION = """
    SELECT
        (SELECT count(*) FROM pg_prepared_statements) AS prepared,
        (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory') AS locks,
        (SELECT count(*) FROM pg_settings WHERE source = 'session'
            AND name NOT IN ('application_name', 'client_encoding')) AS settings,
        (SELECT count(*) FROM pg_class WHERE relpersistence = 't') AS temporary
"""


def test_fifty_reconcilers_behind_a_pooler_make_a_linear_history(
    site: Site, tmp_path: Path, at_size: Callable[[int, int], int]
) -> None:
    merges = checkouts(site, tmp_path, 10)
    with pooled(site.database) as through:
        for _ in range(at_size(2, 20)):
            reset(site)
            apply_fifty_at_once(site, merges, through)


def test_two_upgrades_at_once_behind_a_pooler_migrate_once(
    empty_database: Database, tmp_path: Path
) -> None:
    with pooled(empty_database) as through:
        site = Site.make(tmp_path, through)
        upgrades = [site.start("db", "upgrade") for _ in range(2)]
        said = sorted(upgrade.communicate()[0] for upgrade in upgrades)
        applied = site.reconcile()
        assert percentage(site) == 10
    assert [upgrade.returncode for upgrade in upgrades] == [0, 0]
    assert said == [
        f"the schema is {schema.NEWEST_REVISION} already; no action is needed\n",
        f"the schema is {schema.NEWEST_REVISION} now\n",
    ]
    assert applied.exit_code == 0, applied.stderr


@contextmanager
def account_that_only_reads(database: Database) -> Iterator[str]:
    name = f"reads_{uuid.uuid4().hex}"
    database.execute(
        f"CREATE ROLE {name} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name};"
        f" GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {name}"
    )
    yield name
    database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_dry_run_behind_a_pooler_needs_only_the_right_to_read(site: Site) -> None:
    site.reconcile()
    site.replace("percentage: 10", "percentage: 12")
    with account_that_only_reads(site.database) as account:
        before = site.database.rows(EVERYTHING)
        with pooled(site.database, users=(account,)) as through:
            reader = Site(site.folder, site.remote, through)
            previewed = reader.reconcile("--dry-run", "--detailed-exitcode")
            refused = reader.reconcile()
        assert site.database.rows(EVERYTHING) == before
    assert previewed.exit_code == 2, previewed.stderr
    assert "10 → 12" in previewed.stdout
    assert refused.exit_code == 1
    assert "permission denied" in refused.stderr


def many_features(percentage: int) -> Application:
    """Run each statement so often that a driver may want to prepare it."""
    features = "".join(f"  feature_{each}: {{percentage: {percentage}}}\n" for each in range(12))
    document = parse_rollout(f"version: 1\nfeatures:\n{features}")
    source = Source("rollout.yaml", document.digest, None, uncommitted=False, subject=None)
    return Application(source, document.rollout, "a test")


def test_nothing_is_left_in_a_pooled_session(database: Database) -> None:
    with pooled(database, connections=1) as through:
        session = through.value("SELECT pg_backend_pid()")
        before = through.rows(LEFT_IN_THE_SESSION)
        for taken_in in (10, 20, 30):
            preview(OpenedDatabase.at(through.address), many_features(taken_in))
            apply(OpenedDatabase.at(through.address), many_features(taken_in))
            assert through.rows(LEFT_IN_THE_SESSION) == before
        assert through.value("SELECT pg_backend_pid()") == session
        (bounds,) = through.rows(
            "SELECT current_setting('lock_timeout'), current_setting('statement_timeout') AS s,"
            " current_setting('idle_in_transaction_session_timeout') AS i"
        )
    assert set(bounds.values()) == {"0"}
    assert live_state(database) == replayed_state(database)


def test_a_server_lost_behind_a_pooler_is_retried(database: Database) -> None:
    database.execute("CREATE TABLE written (attempt integer)")
    attempts = 0

    def work(connection: DriverConnection) -> None:
        nonlocal attempts
        attempts += 1
        connection.execute("INSERT INTO public.written VALUES (:attempt)", {"attempt": attempts})
        if attempts < transactions.TRIES:
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pooled(database) as through:
        write_transaction(OpenedDatabase.at(through.address), work)
    assert database.rows("SELECT attempt FROM written") == [{"attempt": transactions.TRIES}]


def test_a_server_lost_at_commit_behind_a_pooler_is_looked_up(database: Database) -> None:
    # Deferred, the server ends in the commit, and the pooler answers for it.
    database.execute("""
        CREATE TABLE written (attempt integer);
        CREATE SEQUENCE ended;
        CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('public.ended') = 1 THEN
                PERFORM pg_terminate_backend(pg_backend_pid());
            END IF;
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER end_session AFTER INSERT ON written
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION end_session();
    """)
    attempts = 0

    def work(connection: DriverConnection) -> None:
        nonlocal attempts
        attempts += 1
        connection.execute("INSERT INTO public.written VALUES (:attempt)", {"attempt": attempts})

    with pooled(database) as through:
        write_transaction(OpenedDatabase.at(through.address), work)
    assert database.rows("SELECT attempt FROM written") == [{"attempt": 2}]
