"""The schema's version: reading it cheaply, and migrating to the newest.

Reading imports no alembic, to keep every command fast. Migrating is one transaction under a
transaction-level advisory lock, so that of two upgrades at once one waits, also with a connection pooler.
"""

import re
from typing import TYPE_CHECKING, Final

from reconciler.errors import SetupInvalid

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

NEWEST_REVISION: Final = "0002"
"""The revision that this release works with; a test compares it with the migrations' head."""

_REVISION: Final = re.compile("[0-9]{4}")

UPGRADE_LOCK: Final = 0x726F6C6C6F757430
"""The number of an upgrade's advisory lock."""


def require_newest(connection: "Connection") -> None:
    """Refuse a schema that is not this release's.

    Raises:
        SetupInvalid: the schema is missing, older or newer; the message names the command to run.
    """
    found = _own_revision(connection)
    if found is None:
        raise SetupInvalid("the database has no rollout schema; run: reconcile db upgrade")
    if found != NEWEST_REVISION:
        raise SetupInvalid(
            f"the database's schema is {found}, this release needs {NEWEST_REVISION}; "
            "run: reconcile db upgrade"
        )


def current_revision(connection: "Connection") -> str | None:
    """Return the database's revision; None if it was never migrated."""
    return _find_revision(connection)[0]


def upgrade(engine: "Engine") -> bool:
    """Migrate to the newest revision, all or nothing; return whether the schema changed.

    The tables of a service are adopted.

    Raises:
        SetupInvalid: the schema is newer than this release's, or the tables cannot be adopted before
            a person decides.
    """
    from alembic import command
    from alembic.config import Config

    from reconciler.database.transactions import run_transaction

    def migrate(connection: "Connection") -> bool:
        # A large table takes its time.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})")
        if _own_revision(connection) == NEWEST_REVISION:
            return False
        config = Config()
        config.set_main_option("script_location", "reconciler.database:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return True

    return run_transaction(engine, migrate)


def _find_revision(connection: "Connection") -> tuple[str | None, bool]:
    """Return the recorded revision, and whether the rollout's tables are there."""
    versions, tables = connection.exec_driver_sql(
        "SELECT to_regclass('public.alembic_version'), to_regclass('public.rollout_state')"
    ).one()
    if versions is None:
        return None, tables is not None
    found = connection.exec_driver_sql("SELECT version_num FROM public.alembic_version").scalar()
    return found, tables is not None


def _own_revision(connection: "Connection") -> str | None:
    """Return the database's revision, or None; refuse one of another program or a newer release."""
    found, has_tables = _find_revision(connection)
    if found is None:
        return None
    # Other programs number their revisions from 0001, too.
    if not (has_tables and _REVISION.fullmatch(found)):
        raise SetupInvalid(
            f"public.alembic_version has {found}, which is not a revision of the rollout's schema: "
            "it belongs to another program; use a separate database for the rollout"
        )
    if found > NEWEST_REVISION:
        raise SetupInvalid(
            f"the database's schema is {found}, newer than this release's {NEWEST_REVISION}; "
            "install the newest rollout-reconciler"
        )
    return found
