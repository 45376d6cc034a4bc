"""The schema's version: reading it cheaply, and migrating to the newest.

Reading imports no alembic, to keep every command fast. Migrating is one transaction under the lock
of writers, so a second upgrade waits for the first, also with a connection pooler. A migration
waits for the tables only briefly, since every call of a service waits behind it.
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.locks import (
    ENDED,
    LOCK_NOT_AVAILABLE,
    LOCK_TABLE,
    OnWait,
    describe_holders,
    lock_writers,
    wait_silently,
)
from reconciler.database.queries import queries
from reconciler.errors import Refused, SetupInvalid, Unavailable
from rollout_client.backoff import backoff_seconds, with_jitter

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationInfo
    from sqlalchemy import Connection, Engine

    from reconciler.database.adoption import Adoption
    from reconciler.database.driver import AnyConnection

_VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"

NEWEST_REVISION: Final = max(each.name[:4] for each in _VERSIONS.glob("[0-9]*.py"))
"""The revision that this release works with; a test compares it with the migrations' head."""

_FIRST_REVISION: Final = "0001"

VERSION_TABLE: Final = "rollout_schema_version"
"""The table of the revision; it is not alembic's own, because a service may use that name."""

_REVISION: Final = re.compile("[0-9]{4}")

LOCK_TIMEOUT: Final = "400ms"
"""How long a migration, and a service's calls behind it, wait for a table."""
LOCK_TRIES: Final = 6
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 4.0
_FIRST_UPGRADE_WAIT: Final = "10s"
"""How long a first upgrade waits for another first upgrade."""
_DUPLICATE: Final = "23505"
"""Another first upgrade made the lock of writers first."""
_CHANGED_MEANWHILE: Final = "40001"
_RETRIED_SQLSTATES: Final = (LOCK_NOT_AVAILABLE, _CHANGED_MEANWHILE)
"""A lock that was not granted in time, and a configuration that changed while the audience was read."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The result of an upgrade, or of its dry run."""

    changed: bool
    """Whether the schema was not the newest."""
    before: str | None
    """The revision before."""
    adoption: "Adoption | None" = None
    """The audience of each feature, if a service's tables were adopted."""


class AudienceWouldChange(Refused):
    """Ask a person: repositories would gain a feature by the adoption; nothing was written."""

    def __init__(self, adoption: "Adoption") -> None:
        self.adoption = adoption
        features = ", ".join(feature.name for feature in adoption.features if feature.gained)
        super().__init__(
            f"repositories would gain {features}; nothing was written. Change the configuration so that the "
            "service's function and the rollout agree, or allow it: --accept-audience-change"
        )


def require_newest(connection: "AnyConnection") -> None:
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


def current_revision(connection: "AnyConnection") -> str | None:
    """Return the database's revision; None if it was never migrated."""
    return _find_revision(connection)


def upgrade(
    engine: "Engine",
    *,
    accept_audience_change: bool = False,
    dry_run: bool = False,
    on_wait: OnWait = wait_silently,
) -> Upgrade:
    """Migrate to the newest revision, all or nothing; return what changed.

    The tables of a service are adopted. A dry run does the same and rolls it back. `on_wait` is called before
    the upgrade waits for another writer.

    Raises:
        AudienceWouldChange: repositories would gain a feature, and that is not accepted; a dry run does not
            raise it.
        SetupInvalid: the schema is newer than this release's, or the tables cannot be adopted before
            a person decides.
        Unavailable: another transaction holds the tables; the message names its process.
    """
    import psycopg
    from sqlalchemy import exc

    from reconciler.database.transactions import run_transaction

    def migrate(connection: "Connection") -> Upgrade:
        done = _migrate(connection, on_wait)
        if dry_run:
            raise _DryRunDone(done)
        if done.adoption is not None and done.adoption.gains and not accept_audience_change:
            raise AudienceWouldChange(done.adoption)
        return done

    for failures in range(1, LOCK_TRIES + 1):
        try:
            return run_transaction(engine, migrate)
        except _DryRunDone as end:
            return end.upgrade
        except (exc.DBAPIError, psycopg.Error) as error:
            state = getattr(getattr(error, "orig", error), "sqlstate", None)
            if state not in _RETRIED_SQLSTATES and not (state == _DUPLICATE and failures == 1):
                raise
        with engine.connect() as connection:
            holders = describe_holders(connection, with_readers=True)
        obstacle = (
            "transactions of the service changed the configuration during each try"
            if state == _CHANGED_MEANWHILE
            else f"the rollout's tables are locked by {holders or ENDED}"
        )
        if failures < LOCK_TRIES:
            pause = backoff_seconds(
                failures,
                first_seconds=_FIRST_PAUSE_SECONDS,
                longest_seconds=_LONGEST_PAUSE_SECONDS,
            )
            time.sleep(with_jitter(pause))
    raise Unavailable(
        f"{obstacle}; nothing was written; end that transaction or wait for it, and try again"
    )


class _DryRunDone(Exception):
    """Ends the transaction of a dry run."""

    def __init__(self, upgrade: Upgrade) -> None:
        self.upgrade = upgrade


def _migrate(connection: "Connection", on_wait: OnWait) -> Upgrade:
    from alembic import command
    from alembic.config import Config

    from reconciler.database.adoption import (
        disable_triggers,
        enable_triggers,
        read_after,
        read_before,
    )
    from reconciler.database.ownership import require_trusted_owners

    # A large table takes its time.
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    require_trusted_owners(connection, adopted=_own_revision(connection) is not None)
    _lock_out_writers(connection, on_wait)
    found = _own_revision(connection)
    if found == NEWEST_REVISION:
        return Upgrade(changed=False, before=found)
    before = read_before(connection) if found is None else None
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    if found is not None:
        _take_version_table_over(connection)
    config = Config()
    config.set_main_option("script_location", "reconciler.database:migrations")
    config.attributes["connection"] = connection

    def after_revision(*, step: "MigrationInfo", **_: object) -> None:
        if before is not None and step.up_revision_id == _FIRST_REVISION:
            disable_triggers(connection, before)

    config.attributes["after_revision"] = after_revision
    command.upgrade(config, "head")
    if before is not None:
        enable_triggers(connection, before)
    # Objects can be made until this transaction has made its own.
    require_trusted_owners(connection, adopted=found is not None)
    return Upgrade(
        changed=True,
        before=found,
        adoption=None if before is None else read_after(connection, before),
    )


def _lock_out_writers(connection: "Connection", on_wait: OnWait) -> None:
    """Lock out every other upgrade and apply, of this release or of one before the lock of writers.

    A transaction of an older release has read the version table and keeps a lock on it until its end. One
    that begins afterwards reads the new revision, and refuses to go on.
    """
    from reconciler.database.migrations.files import run_file

    if not _table_exists(connection, LOCK_TABLE):
        version_table = _find_version_table(connection)
        if version_table is None:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_FIRST_UPGRADE_WAIT}'")
        else:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            connection.exec_driver_sql(
                f"LOCK TABLE public.{version_table} IN ACCESS EXCLUSIVE MODE"
            )
        run_file("0006_lock.sql", connection)
    elif not connection.exec_driver_sql("SELECT EXISTS (SELECT FROM public.rollout_lock)").scalar():
        run_file("0006_lock.sql", connection)
    lock_writers(connection, on_wait=on_wait)


def _take_version_table_over(connection: "Connection") -> None:
    """Rename the version table of a schema before 0003, which had the name that a service may use."""
    if _table_exists(connection, VERSION_TABLE):
        return
    connection.exec_driver_sql(f"ALTER TABLE public.alembic_version RENAME TO {VERSION_TABLE}")
    connection.exec_driver_sql(
        f"ALTER TABLE public.{VERSION_TABLE} RENAME CONSTRAINT alembic_version_pkc TO {VERSION_TABLE}_pkc"
    )


def _table_exists(connection: "AnyConnection", name: str) -> bool:
    """Return whether there is a table of this name whose reading runs nothing: no view, and no policy.

    An account that may create objects in `public` can make one before the first upgrade.
    """
    statement = queries("ownership")["is_table"]
    return bool(execute(connection, statement, {"name": f"public.{name}"}).scalar())


def _find_version_table(connection: "AnyConnection") -> str | None:
    """Return the table with the schema's revision. A service's own version table is not ours."""
    if _table_exists(connection, VERSION_TABLE):
        return VERSION_TABLE
    if _table_exists(connection, "rollout_state") and _table_exists(connection, "alembic_version"):
        return "alembic_version"
    return None


def _find_revision(connection: "AnyConnection") -> str | None:
    """Return the recorded revision."""
    table = _find_version_table(connection)
    if table is None:
        return None
    found: str | None = execute(
        connection,
        f"SELECT version_num FROM public.{table}",  # noqa: S608 - one of two names  # nosec B608
    ).scalar()
    return found if found is not None and _REVISION.fullmatch(found) else None


def _own_revision(connection: "AnyConnection") -> str | None:
    """Return the database's revision, or None; refuse one of a newer release."""
    found = _find_revision(connection)
    if found is not None and found > NEWEST_REVISION:
        raise SetupInvalid(
            f"the database's schema is {found}, newer than this release's {NEWEST_REVISION}; "
            "install the newest rollout-reconciler"
        )
    return found
