"""`reconcile db remove`: a service gets its tables, rows and functions back as they were."""

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.database import schema
from reconciler.database.removal import remove
from tests.database.hosts import make_host
from tests.database.test_adopted_audience import audience, make_service
from tests.postgres import Database

CATALOGUE = r"""
    SELECT 'column' AS kind, relname || '.' || attname AS name, concat_ws(' ',
        format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attacl) AS definition
    FROM pg_class
    JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
    UNION ALL
    -- Casts and brackets differ where a rule is read again.
    SELECT 'constraint', conrelid::regclass || ' ' || conname,
        regexp_replace(pg_get_constraintdef(oid), '::[a-z ]+(\[\])?|[() ]|NOT VALID', '', 'g')
    FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'p', 'u')
    UNION ALL
    SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'function', oid::regprocedure::text, concat_ws(' ', pg_get_functiondef(oid),
        has_function_privilege('public', oid, 'EXECUTE'))
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'trigger', tgrelid::regclass || ' ' || tgname, pg_get_triggerdef(oid) || tgenabled::text
    FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'policy', tablename || ' ' || policyname, concat_ws(' ', cmd, qual, with_check)
    FROM pg_policies
    UNION ALL
    SELECT 'view', viewname, definition FROM pg_views WHERE schemaname = 'public'
    ORDER BY 1, 2, 3
"""
TABLES = (
    "repositories",
    "pull_requests",
    "rollout_configuration",
    "repository_categories",
    "rollout_metrics",
)


def contents(database: Database) -> dict[str, list[dict[str, Any]]]:
    return {table: database.rows(f"SELECT * FROM {table} ORDER BY id") for table in TABLES}


@pytest.mark.parametrize("make", [make_host, make_service], ids=["odd rows", "400 repositories"])
def test_a_service_that_leaves_has_everything_as_before(
    empty_database: Database, make: Callable[[Database], None]
) -> None:
    make(empty_database)
    catalogue, rows = empty_database.rows(CATALOGUE), contents(empty_database)
    eligible = audience(empty_database)
    schema.upgrade(empty_database.engine)

    remove(empty_database.engine)

    # The rollout's own actions stay in the history, so a rule of the service holds for new rows.
    now = [
        row | {"definition": row["definition"].replace(" NOT VALID", "")}
        for row in empty_database.rows(CATALOGUE)
    ]
    assert now == catalogue
    assert contents(empty_database) == rows
    assert audience(empty_database) == eligible


def test_what_changed_since_stays_and_the_next_adoption_works(empty_database: Database) -> None:
    make_service(empty_database)
    schema.upgrade(empty_database.engine)
    empty_database.execute("UPDATE rollout_configuration SET rollout_percentage = 12.5")

    remove(empty_database.engine)

    assert empty_database.value("SELECT rollout_percentage FROM rollout_configuration") == 12
    before = audience(empty_database)
    assert schema.upgrade(empty_database.engine).changed
    assert audience(empty_database) == before


def test_without_a_service_nothing_stays(empty_database: Database) -> None:
    schema.upgrade(empty_database.engine)

    remove(empty_database.engine)

    assert empty_database.rows(CATALOGUE) == []
