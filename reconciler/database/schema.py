"""The schema's version: reading it cheaply, and migrating to the newest.

Reading imports no alembic, since every command pays for it. Migrating is one transaction under a
transaction-level advisory lock, so that of two upgrades at once one waits, behind a pool as well.
"""

from typing import TYPE_CHECKING, Final

from reconciler.errors import SetupInvalid

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

NEWEST_REVISION: Final = "0001"
"""The revision that this release works with; a test holds it against the migrations' own head."""

UPGRADE_LOCK: Final = 0x726F6C6C6F757430
"""The advisory lock of an upgrade; any number that nobody else uses."""


def require_newest(connection: "Connection") -> None:
    """Raise `SetupInvalid`, naming the command that helps, unless the schema is this release's."""
    found = current_revision(connection)
    if found == NEWEST_REVISION:
        return
    if found is None:
        raise SetupInvalid("the database has no rollout schema; run: reconcile db upgrade")
    if found < NEWEST_REVISION:
        raise SetupInvalid(
            f"the database's schema is {found}, this release needs {NEWEST_REVISION}; "
            "run: reconcile db upgrade"
        )
    raise SetupInvalid(
        f"the database's schema is {found}, newer than this release's {NEWEST_REVISION}; "
        "install the newest rollout-reconciler"
    )


def current_revision(connection: "Connection") -> str | None:
    """Return the database's revision, or None where no reconciler has ever migrated it."""
    exists = connection.exec_driver_sql("SELECT to_regclass('public.alembic_version')").scalar()
    if exists is None:
        return None
    return connection.exec_driver_sql("SELECT version_num FROM public.alembic_version").scalar()


def upgrade(engine: "Engine") -> bool:
    """Migrate to the newest revision; return whether anything was to be done."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "reconciler.database:migrations")
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})")
        before = current_revision(connection)
        if before == NEWEST_REVISION:
            return False
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return True
