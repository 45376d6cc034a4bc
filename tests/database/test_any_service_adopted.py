"""Adoption of any service: whatever its tables and function are, no repository gains a feature."""

from collections.abc import Callable
from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import HealthCheck, event, given, settings

from reconciler.database import schema
from reconciler.database.removal import remove
from reconciler.errors import ReconcilerError
from tests.database.hosts import make_host
from tests.database.test_removal import contents
from tests.postgres import Database

REPOSITORIES = 40
FUNCTION = "is_repository_eligible_for_rollout"
AUDIENCE = """
    SELECT feature_name, repositories.id FROM rollout_configuration, repositories
    WHERE asked.answer(repositories.id, feature_name)
"""
# A call that fails makes a repository ineligible.
ASKED = f"""
    CREATE SCHEMA asked;
    CREATE FUNCTION asked.answer(repository uuid, feature text) RETURNS boolean
    LANGUAGE plpgsql AS $$ BEGIN
        RETURN public.{FUNCTION}(repository, feature::varchar);
    EXCEPTION WHEN raise_exception OR undefined_column THEN RETURN false;
    END $$
"""
COLUMNS = (
    "rollout_configuration.excluded_repositories",
    "rollout_configuration.emergency_stop",
    "rollout_configuration.is_active",
    "rollout_configuration.max_error_rate",
    "rollout_configuration.metadata",
    "rollout_configuration.updated_at",
    "repositories.contributors_count",
    "repository_categories.priority_level",
    "repository_categories.star_count",
    "rollout_metrics.average_processing_time",
    "rollout_history.metadata",
)
BUCKETS = (
    "abs(hashtext(repo_id::text)) % 100",
    "abs(hashtext(repo_id::text) % 100)",
    "hashtext(repo_id::text) % 100",
    "abs(hashtext(upper(repo_id::text))) % 100",
    "abs(hashtext(repo_id::text || feature_name)) % 100",
    "abs(hashtext(repository.full_name)) % 100",
    "abs(hashtext(repo_id::text)) % 10",
    "get_byte(decode(md5(repo_id::text), 'hex'), 0) % 100",
    "('x' || left(md5(feature_name || repo_id::text), 8))::bit(32)::bigint % 100",
    "repository.github_id % 100",
    "nullif(repository.github_id % 100, 7)",
    "0",
)
STEPS = (
    "true",
    "config.is_active",
    "NOT config.emergency_stop",
    "NOT (repo_id::text = ANY (config.excluded_repositories))",
    "NOT (repository.full_name = ANY (config.excluded_repositories))",
)
LISTED = (
    "false",
    "repo_id::text = ANY (config.target_repositories)",
    "lower(repository.full_name) = ANY (config.target_repositories)",
    "split_part(repository.full_name, '/', 1) || '/*' = ANY (config.target_repositories)",
)
SIZE = """
    CASE WHEN known.is_test_repository OR known.category = 'test' THEN config.rollout_percentage >= {}
        ELSE config.rollout_percentage >= CASE known.category
            WHEN 'small' THEN 25 WHEN 'medium' THEN 50 WHEN 'large' THEN 75 ELSE 100 END
    END
"""


@dataclass(frozen=True)
class Behavior:
    """What a service's own function does."""

    bucket: str
    compare: str
    steps: frozenset[str]
    listed: str
    whitelist: str
    size: str
    otherwise: str

    def statement(self, kind: str) -> str:
        return f"""
            CREATE FUNCTION {FUNCTION}(repo_id uuid, feature_name {kind} DEFAULT 'f0')
            RETURNS boolean LANGUAGE plpgsql AS $$
            DECLARE config record; known record; repository record;
            BEGIN
                SELECT * INTO config FROM rollout_configuration AS c
                WHERE c.feature_name = {FUNCTION}.feature_name;
                SELECT * INTO repository FROM repositories WHERE id = repo_id;
                SELECT * INTO known FROM repository_categories WHERE repository_id = repo_id;
                IF NOT ({" AND ".join(sorted(self.steps)) or "true"}) THEN RETURN {self.otherwise}; END IF;
                IF {self.listed} THEN RETURN true; END IF;
                IF config.rollout_strategy = 'whitelist' THEN RETURN {self.whitelist}; END IF;
                IF config.rollout_strategy = 'repository_size' THEN RETURN {self.size}; END IF;
                RETURN {self.bucket} {self.compare} config.rollout_percentage;
            END $$
        """


behaviors = st.builds(
    Behavior,
    bucket=st.sampled_from(BUCKETS),
    compare=st.sampled_from(["<", "<", "<="]),
    steps=st.frozensets(st.sampled_from(STEPS), max_size=4),
    listed=st.sampled_from(LISTED),
    whitelist=st.sampled_from(["false", "false", "NULL", "true"]),
    size=st.sampled_from([SIZE.format(10), SIZE.format(5), "false", "NULL"]),
    otherwise=st.sampled_from(["false", "NULL"]),
)
numbers = st.sets(st.integers(1, REPOSITORIES), max_size=4)


@dataclass(frozen=True)
class Row:
    """A service's row of a feature; its lists hold ids, names and patterns."""

    strategy: str | None
    percentage: int | None
    active: bool | None
    stopped: bool | None
    listed: set[int]
    excluded: set[int]
    form: str


rows = st.builds(
    Row,
    strategy=st.sampled_from(["percentage", "percentage", "whitelist", "repository_size", None]),
    percentage=st.sampled_from([0, 1, 5, 10, 25, 50, 99, 100, None]),
    active=st.sampled_from([True, True, False, None]),
    stopped=st.sampled_from([False, False, True, None]),
    listed=numbers,
    excluded=numbers,
    form=st.sampled_from(["id::text", "full_name", "lower(full_name)", "owner || '/*'"]),
)


def make_service(database: Database) -> None:
    make_host(database, rows=False)
    database.execute(f"""
        INSERT INTO repositories (id, github_id, owner, name, full_name, stargazers_count)
        SELECT md5('r' || n)::uuid, n, owner, 'r' || n, owner || '/r' || n, n % 60 * n
        FROM generate_series(1, {REPOSITORIES}) AS n,
            LATERAL (SELECT CASE n % 3 WHEN 0 THEN 'acme' ELSE 'Globex' END AS owner) AS named;
        INSERT INTO repository_categories (repository_id, category, is_test_repository)
        SELECT id, (ARRAY['test', 'small', 'medium', 'large', 'enterprise', 'gigantic'])[1 + github_id % 6],
            CASE github_id % 5 WHEN 0 THEN true WHEN 1 THEN false END
        FROM repositories WHERE github_id % 7 > 0;
        DROP FUNCTION {FUNCTION} CASCADE;
        {ASKED};
    """)


def add_row(database: Database, name: str, row: Row) -> None:
    lists = "ARRAY(SELECT {} FROM repositories WHERE github_id = ANY (%({})s))"
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_strategy, rollout_percentage,"
        " is_active, emergency_stop, target_repositories, excluded_repositories)"
        " VALUES (%(name)s, %(strategy)s, %(percentage)s, %(active)s, %(stopped)s,"
        f" {lists.format(row.form, 'listed')}, {lists.format(row.form, 'excluded')})",
        name=name, strategy=row.strategy, percentage=row.percentage, active=row.active,
        stopped=row.stopped, listed=list(row.listed), excluded=list(row.excluded),
    )  # fmt: skip


def audience(database: Database) -> set[tuple[str, str]]:
    return {(row["feature_name"], str(row["id"])) for row in database.rows(AUDIENCE)}


def test_no_repository_gains_by_the_adoption_of_any_service(
    empty_database: Database,
    copy_of: Callable[[Database], Database],
    at_size: Callable[[int, int], int],
) -> None:
    make_service(empty_database)
    adopted, refused = [], []

    @settings(max_examples=at_size(15, 150), deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        behavior=behaviors,
        features=st.lists(rows, min_size=1, max_size=4),
        kind=st.sampled_from(["varchar", "text"]),
        missing=st.sets(st.sampled_from(COLUMNS), max_size=2),
        numeric=st.booleans(),
    )
    def adopt(
        behavior: Behavior, features: list[Row], kind: str, missing: set[str], *, numeric: bool
    ) -> None:
        database = copy_of(empty_database)
        try:
            database.execute(behavior.statement(kind))
            for number, row in enumerate(features):
                add_row(database, f"f{number}", row)
            for column in sorted(missing):
                table, _, name = column.partition(".")
                database.execute(f"ALTER TABLE {table} DROP COLUMN {name} CASCADE")
            if numeric:
                database.execute(
                    "DROP VIEW IF EXISTS rollout_dashboard CASCADE;"
                    " DROP TRIGGER IF EXISTS touch_on_percentage ON rollout_configuration; ALTER TABLE rollout_configuration"
                    " ALTER COLUMN rollout_percentage TYPE numeric(5, 2)"
                )
            before, host = audience(database), contents(database)
            try:
                schema.upgrade(database.engine)
            except ReconcilerError as refusal:
                event(f"refused: {type(refusal).__name__}")
                refused.append(refusal)
                assert (audience(database), contents(database)) == (before, host)
                assert database.value("SELECT to_regclass('rollout_state')") is None
                return
            event("adopted")
            adopted.append(behavior)
            assert audience(database) <= before

            remove(database.engine)
            assert audience(database) == before
            assert contents(database) == host
        finally:
            database.engine.dispose()

    adopt()
    assert adopted
    assert refused
