"""The database by its catalog: tables, indexes, triggers, functions, notifications and roles."""

from collections.abc import Iterator

from tests.contracts.record import check_lines
from tests.postgres import Database
from tests.site import Site

COLUMNS = """
    SELECT concat_ws(' ',
        CASE class.relkind WHEN 'v' THEN 'view' ELSE 'table' END,
        class.relname || '.' || attribute.attname,
        format_type(attribute.atttypid, attribute.atttypmod),
        CASE WHEN attribute.attnotnull THEN 'NOT NULL' END,
        'DEFAULT ' || pg_get_expr(expression.adbin, expression.adrelid)
    ) AS line
    FROM pg_class AS class
    JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
    LEFT JOIN pg_attrdef AS expression
        ON expression.adrelid = class.oid AND expression.adnum = attribute.attnum
    WHERE class.relnamespace = 'public'::regnamespace AND class.relkind IN ('r', 'v')
        AND attribute.attnum > 0 AND NOT attribute.attisdropped
"""
CONSTRAINTS = """
    SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS line
    FROM pg_constraint
    -- From Postgres 18 a column's NOT NULL is a constraint too; it is with the columns.
    WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'p', 'u', 'x')
"""
INDEXES = "SELECT tablename || ' ' || indexdef AS line FROM pg_indexes WHERE schemaname = 'public'"
TRIGGERS = """
    SELECT tgrelid::regclass || ' ' || pg_get_triggerdef(pg_trigger.oid) AS line
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace
"""
FUNCTIONS = """
    SELECT format('%s(%s) RETURNS %s', proname, pg_get_function_arguments(oid),
        pg_get_function_result(oid)) AS line
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""
CHANNELS = """
    SELECT DISTINCT notified[1] AS line
    FROM pg_proc, regexp_matches(prosrc, 'pg_notify\\(\\s*''([^'']+)''', 'g') AS notified
    WHERE pronamespace = 'public'::regnamespace
"""
GRANTS = """
    SELECT format('%s %s ON %s', grantee, privilege_type, table_name) AS line
    FROM information_schema.role_table_grants
    WHERE table_schema = 'public' AND grantee LIKE 'rollout\\_%'
    UNION ALL
    SELECT format('%s %s ON %s (%s)', grantee, privilege_type, table_name, column_name)
    FROM information_schema.role_column_grants AS of_column
    WHERE table_schema = 'public' AND grantee LIKE 'rollout\\_%' AND NOT EXISTS (
        SELECT FROM information_schema.role_table_grants AS of_table
        WHERE (of_table.grantee, of_table.privilege_type, of_table.table_schema, of_table.table_name)
            = (of_column.grantee, of_column.privilege_type, 'public', of_column.table_name)
    )
    UNION ALL
    SELECT format('%s EXECUTE ON %s', grantee::regrole, proc.oid::regprocedure)
    FROM pg_proc AS proc, aclexplode(proacl)
    WHERE pronamespace = 'public'::regnamespace AND grantee::regrole::text LIKE 'rollout\\_%'
    UNION ALL
    SELECT format('%s %s ON SCHEMA public', grantee::regrole, privilege_type)
    FROM pg_namespace, aclexplode(nspacl)
    WHERE nspname = 'public' AND grantee <> 0 AND grantee::regrole::text LIKE 'rollout\\_%'
"""


def test_tables_and_columns(database: Database) -> None:
    check_lines("columns", _lines(database, COLUMNS))


def test_constraints(database: Database) -> None:
    check_lines("constraints", _lines(database, CONSTRAINTS))


def test_indexes(database: Database) -> None:
    check_lines("indexes", _lines(database, INDEXES))


def test_triggers(database: Database) -> None:
    check_lines("triggers", _lines(database, TRIGGERS))


def test_functions(database: Database) -> None:
    check_lines("functions", _lines(database, FUNCTIONS))


def test_notification_channels(database: Database) -> None:
    check_lines("channels", _lines(database, CHANNELS))


def test_roles_and_their_grants(site: Site) -> None:
    applied = site.reconcile("db", "roles", "--apply")

    assert applied.exit_code == 0, applied.stderr
    check_lines("grants", _lines(site.database, GRANTS))


def _lines(database: Database, sql: str) -> Iterator[str]:
    for row in database.rows(sql):
        yield " ".join(row["line"].split())
