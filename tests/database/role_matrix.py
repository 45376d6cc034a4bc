"""What each login may do, found by trying: every table, every function and many other statements.

The result is the page `docs/reference/roles.md`, which `tests/contracts/test_roles.py` compares.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import psycopg
from psycopg.errors import (
    FeatureNotSupported,
    InsufficientPrivilege,
    ObjectNotInPrerequisiteState,
    WrongObjectType,
)

from tests.postgres import Database

LOGINS: Final[Mapping[str, str | None]] = {
    "no role": None,
    "reader": "rollout_reader",
    "worker": "rollout_worker",
    "safeguard": "rollout_safeguard",
    "reconciler": "rollout_reconciler",
}
"""Logins by the role that they are granted."""
TABLES: Final = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') ORDER BY relname
"""
COLUMNS: Final = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
FUNCTIONS: Final = """
    SELECT oid::regprocedure::text, format(
        'SELECT public.%%I(%%s)', proname,
        (SELECT string_agg('NULL::' || format_type(type, NULL), ', ' ORDER BY position)
        FROM unnest(proargtypes) WITH ORDINALITY AS arguments (type, position))
    )
    FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND prorettype <> 'trigger'::regtype
    ORDER BY 1
"""
LOCK_MODES: Final = (
    "ACCESS EXCLUSIVE",
    "EXCLUSIVE",
    "SHARE ROW EXCLUSIVE",
    "SHARE",
    "SHARE UPDATE EXCLUSIVE",
    "ROW EXCLUSIVE",
    "ROW SHARE",
    "ACCESS SHARE",
)
"""The strongest first."""
IMPOSSIBLE: Final[tuple[type[psycopg.Error], ...]] = (
    WrongObjectType,
    ObjectNotInPrerequisiteState,
)
"""What no login can do, such as deleting from a view."""
NOT_GRANTED: Final = "01007"
"""A warning: a grant without the right to grant."""
STATEMENTS: Final = {
    "listen to `rollout_changed`": "LISTEN rollout_changed",
    "notify `rollout_changed`": "NOTIFY rollout_changed",
    "take an advisory lock": "SELECT pg_advisory_xact_lock(1)",
    "lock a catalog for reading": "LOCK TABLE pg_class IN ACCESS SHARE MODE",
    "lock a catalog for writing": "LOCK TABLE pg_class IN ROW EXCLUSIVE MODE",
    "make a temporary table": "CREATE TEMPORARY TABLE mine (id integer)",
    "make a large object": "SELECT lo_create(0)",
    "make a table": "CREATE TABLE public.mine (id integer)",
    "make a view": "CREATE VIEW public.mine AS SELECT 1 AS one",
    "make a function": "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "make an operator": (
        "CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = texteq)"
    ),
    "make a type": "CREATE TYPE public.mine AS ENUM ('a')",
    "make a sequence": "CREATE SEQUENCE public.mine",
    "make a schema": "CREATE SCHEMA mine",
    "drop an extension": "DROP EXTENSION plpgsql CASCADE",
    "make a language": "CREATE LANGUAGE mine HANDLER plpgsql_call_handler",
    "make a publication": "CREATE PUBLICATION mine FOR ALL TABLES",
    "make an event trigger": (
        "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION public.refuse_rewriting()"
    ),
    "make a role": "CREATE ROLE mine",
    "become a superuser": "ALTER ROLE CURRENT_USER SUPERUSER",
    "take the rights of `rollout_reconciler`": "SET LOCAL ROLE rollout_reconciler",
    "grant oneself `rollout_reconciler`": "GRANT rollout_reconciler TO CURRENT_USER",
    "grant a right on the configuration": (
        "GRANT UPDATE ON public.rollout_configuration TO rollout_worker"
    ),
    "become the owner of the history": "ALTER TABLE public.rollout_history OWNER TO CURRENT_USER",
    "turn the history's triggers off": "ALTER TABLE public.rollout_history DISABLE TRIGGER ALL",
    "turn all triggers off": "SET LOCAL session_replication_role = replica",
    "drop a trigger": "DROP TRIGGER refuse_rewriting ON public.rollout_history",
    "put a trigger on the configuration": (
        "CREATE TRIGGER mine AFTER UPDATE ON public.rollout_configuration"
        " EXECUTE FUNCTION public.notify_table_changed()"
    ),
    "put a rule on the configuration": (
        "CREATE RULE mine AS ON UPDATE TO public.rollout_configuration DO INSTEAD NOTHING"
    ),
    "put an index on the metrics": "CREATE INDEX mine ON public.rollout_metrics (updated_at)",
    "put a column on the configuration": (
        "ALTER TABLE public.rollout_configuration ADD COLUMN mine integer"
    ),
    "put a policy on the configuration": (
        "CREATE POLICY mine ON public.rollout_configuration USING (true)"
    ),
    "drop a table": "DROP TABLE public.rollout_override",
    "rename a table": "ALTER TABLE public.rollout_lock RENAME TO mine",
    "comment on a table": "COMMENT ON TABLE public.rollout_lock IS 'mine'",
    "replace a function": (
        "CREATE OR REPLACE FUNCTION public.rollout_step(percentage numeric) RETURNS integer"
        " LANGUAGE sql AS 'SELECT 1'"
    ),
    "make a function run with its owner's rights": (
        "ALTER FUNCTION public.categorize_all_repositories() SECURITY DEFINER"
    ),
    "drop a function": "DROP FUNCTION public.categorize_all_repositories() CASCADE",
    "change the database's settings": "ALTER DATABASE {database} SET search_path = mine",
    "change default privileges": (
        "ALTER DEFAULT PRIVILEGES FOR ROLE rollout_reconciler GRANT ALL ON TABLES TO PUBLIC"
    ),
    "read the server's passwords": "SELECT rolpassword FROM pg_authid",
    "write a catalog": "UPDATE pg_proc SET prosecdef = true WHERE false",
    "run a program": "COPY (SELECT 1) TO PROGRAM 'true'",
    "read a file of the server": "SELECT pg_read_file('postgresql.conf')",
    "write a file of the server": "COPY (SELECT 1) TO '/nonexistent'",
    "import a file": "SELECT lo_import('/etc/hostname')",
    "reload the server's configuration": "SELECT pg_reload_conf()",
    "end the owner's session": "SELECT pg_terminate_backend({owner})",
    "end the owner's statement": "SELECT pg_cancel_backend({owner})",
    "log statements elsewhere": "SET LOCAL log_statement = 'none'",
    "read the columns of a service": "SELECT created_at FROM public.repositories",
}


@contextmanager
def logins(database: Database) -> Iterator[Mapping[str, "psycopg.Connection[Any]"]]:
    """Yield a session of each login; the roles are granted already."""
    suffix = database.value("SELECT current_database()")[-12:]
    with ExitStack() as opened:
        sessions = {}
        for name, role in LOGINS.items():
            login = f"{name.replace(' ', '_')}_{suffix}"
            database.execute(f"CREATE ROLE {login} LOGIN")
            opened.callback(database.execute, f"DROP OWNED BY {login}; DROP ROLE {login}")
            if role is not None:
                database.execute(f"GRANT {role} TO {login}")
            url = re.sub(r"postgresql://[^/?]*@", "postgresql://", database.url)
            sessions[name] = psycopg.connect(f"{url}&user={login}")
            opened.callback(sessions[name].close)
        yield sessions


def is_allowed(
    session: "psycopg.Connection[Any]",
    statement: str,
    impossible: tuple[type[psycopg.Error], ...] = (),
) -> bool:
    """Try a statement and take it back; return whether its login has the rights for it."""
    warnings: list[str | None] = []

    def keep(diagnostic: psycopg.errors.Diagnostic) -> None:
        warnings.append(diagnostic.sqlstate)

    session.add_notice_handler(keep)
    try:
        session.execute(statement.encode())
    except InsufficientPrivilege:
        return False
    except psycopg.Error as error:
        # What the statement would do fails for another reason: the rights were there.
        return not isinstance(error, IMPOSSIBLE + impossible)
    finally:
        session.rollback()
        session.remove_notice_handler(keep)
    return NOT_GRANTED not in warnings


def rights(session: "psycopg.Connection[Any]", table: str, columns: Sequence[str]) -> str:
    """Return what a login may do with a table, in words; a dash for nothing."""
    of_columns = {
        "SELECT": f"SELECT {{}} FROM public.{table} LIMIT 0",
        "UPDATE": f"UPDATE public.{table} SET {{}} = DEFAULT WHERE false",
    }
    of_table = {
        "INSERT": f"INSERT INTO public.{table} DEFAULT VALUES",
        "DELETE": f"DELETE FROM public.{table} WHERE false",
        "TRUNCATE": f"TRUNCATE public.{table}",
        "FOR UPDATE": f"SELECT FROM public.{table} FOR UPDATE",
    }
    found = {}
    for verb, statement in of_columns.items():
        # The computed columns of a view cannot be updated.
        allowed = [
            each
            for each in columns
            if is_allowed(session, statement.format(each), (FeatureNotSupported,))
        ]
        if allowed:
            is_whole = allowed == list(columns)
            found[verb] = verb if is_whole else f"{verb} ({', '.join(allowed)})"
    found |= {verb: verb for verb, each in of_table.items() if is_allowed(session, each)}
    for mode in LOCK_MODES:
        if is_allowed(session, f"LOCK TABLE public.{table} IN {mode} MODE"):
            found["LOCK"] = f"LOCK {mode}"
            break
    order = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "FOR UPDATE", "LOCK")
    return "; ".join(found[verb] for verb in order if verb in found) or "-"


def table_rows(database: Database, sessions: Mapping[str, "psycopg.Connection[Any]"]) -> list[str]:
    rows = []
    with database.connect(autocommit=True) as catalog:
        for (table,) in catalog.execute(TABLES).fetchall():
            columns = [name for (name,) in catalog.execute(COLUMNS, (f"public.{table}",))]
            cells = [rights(session, table, columns) for session in sessions.values()]
            rows.append(_row(f"`{table}`", cells))
    return rows


def function_rows(
    database: Database, sessions: Mapping[str, "psycopg.Connection[Any]"]
) -> list[str]:
    with database.connect(autocommit=True) as catalog:
        calls = catalog.execute(FUNCTIONS.replace("%%", "%").encode()).fetchall()
    return [
        _row(f"`{name}`", [_yes(is_allowed(each, call)) for each in sessions.values()])
        for name, call in calls
    ]


def statement_rows(
    database: Database, sessions: Mapping[str, "psycopg.Connection[Any]"]
) -> list[str]:
    name = database.value("SELECT current_database()")
    with database.connect() as owner:
        values = {"database": name, "owner": owner.info.backend_pid}
        return [
            _row(what, [_yes(is_allowed(each, sql.format(**values))) for each in sessions.values()])
            for what, sql in STATEMENTS.items()
        ]


def page(database: Database) -> str:
    """Return the page; the roles are granted already."""
    with logins(database) as sessions:
        return PAGE.format(
            tables=_table("table", table_rows(database, sessions)),
            functions=_table("function", function_rows(database, sessions)),
            statements=_table("statement", statement_rows(database, sessions)),
        )


PAGE: Final = """\
<!-- Written by `python -m tests.contracts`. -->

# Rights of each role

A test writes this page. It tries each right with five logins: four with one role of `reconcile db roles` each, and one without a role.
The database is used by the rollout alone. The test compares its result with this page. `-` means that the login has no right. If a
right is for some columns only, the columns follow it. The last entry of a cell is the strongest table lock that the login can take.

## Tables and views

{tables}

## Functions

Functions of triggers are not callable.

{functions}

## Other statements

Postgres allows some of them to every login. The rollout does not depend on the objects that these statements reach.

{statements}
"""


def _yes(allowed: bool) -> str:
    return "yes" if allowed else "-"


def _row(first: str, cells: Sequence[str]) -> str:
    return f"| {' | '.join((first, *cells))} |"


def _table(first: str, rows: Sequence[str]) -> str:
    head = _row(first, list(LOGINS))
    rule = _row("---", ["---"] * len(LOGINS))
    return "\n".join((head, rule, *rows))
