"""The database, the features and the person that a command works with."""

import getpass
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import Settings
from reconciler.cli.render.text import for_line
from reconciler.errors import NotFound, SetupInvalid
from reconciler.rollout_file.characters import cut
from reconciler.wording import show_time

if TYPE_CHECKING:
    from reconciler.database.address import DatabaseAddress
    from reconciler.database.driver import AnyConnection
    from reconciler.database.embedded import EmbeddedServer
    from reconciler.database.transactions import Database
    from reconciler.operations.events import Event
    from reconciler.operations.listeners import Emit


def open_database(
    settings: Settings, *, to_write: bool = False, creates: bool = False, waits: bool = True
) -> "Database":
    """Return the database of the settings; the embedded one is started if it does not run.

    A new embedded database gets its schema here; an older one is migrated only if the command
    writes. The schema of any other database is not changed.

    Args:
        settings: the settings.
        to_write: whether the command writes.
        creates: whether the command may create the embedded database.
        waits: whether a command that writes waits for a server that accepts writes.

    Raises:
        NotFound: no address is given, and there is no embedded database, which would be created.
    """
    from reconciler.database.transactions import Database

    address = find_address(settings, creates=creates)
    if address.is_embedded or not to_write:
        return replace(open_address(address, to_write=to_write), on_wait=settings.inform)
    return Database.at(
        address, on_wait=settings.inform, patience_seconds=database_wait_seconds() if waits else 0
    )


def find_address(settings: Settings, *, creates: bool = False) -> "DatabaseAddress":
    """Return the address of the settings' database; the embedded one is started if it does not run.

    Raises:
        NotFound: no address is given, and there is no embedded database, which would be created.
    """
    from reconciler.database.address import resolve_address

    if settings.database_url is None and "DATABASE_URL" not in os.environ:
        from reconciler.database.embedded import ServerState

        folder = embedded_folder(settings)
        if not creates and embedded_server(settings).status().state is ServerState.ABSENT:
            raise NotFound(
                "there is no database: --database-url and DATABASE_URL are not set, and there is no "
                f"embedded database in {folder}; give the address of the database, name the rollout "
                "file with --file, or create an embedded database: reconcile db start"
            )
        settings.inform(f"using the embedded database in {folder}")
    return resolve_address(settings.database_url, settings.path)


def open_address(address: "DatabaseAddress", *, to_write: bool) -> "Database":
    """Return the database at an address, as `open_database` does."""
    from reconciler.database import schema
    from reconciler.database.connection import translated_errors
    from reconciler.database.transactions import Database

    database = Database.at(address)
    if address.is_embedded:
        with translated_errors(address):
            with database.engine.connect() as connection:
                revision = schema.current_revision(connection)
            if revision is None or (to_write and revision < schema.NEWEST_REVISION):
                schema.upgrade(database.engine)
    return database


def outbox_of(database: "Database") -> "Emit":
    """Return a function that records the events of a command; only the first event imports what it needs."""

    @cache
    def open_outbox() -> "Emit":
        from reconciler.notifications.recorder import emit_to_outbox

        return emit_to_outbox(database)

    def emit(event: "Event") -> None:
        open_outbox()(event)

    return emit


def database_wait_seconds() -> float:
    """Return how long an act waits for a server that accepts writes.

    Raises:
        SetupInvalid: `ROLLOUT_DATABASE_WAIT` is not a number of seconds.
    """
    from reconciler.database.patience import ACT_SECONDS

    text = os.environ.get("ROLLOUT_DATABASE_WAIT")
    if not text:
        return ACT_SECONDS
    if not text.isascii() or not text.isdigit():
        raise SetupInvalid("ROLLOUT_DATABASE_WAIT: give it a number of seconds, such as 60")
    return float(text)


@contextmanager
def reading(settings: Settings) -> "Iterator[AnyConnection]":
    """Yield a connection for one read-only transaction over a database with this release's schema."""
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction

    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        yield connection


def find_replica_address(settings: Settings) -> "DatabaseAddress | None":
    """Return the address in `ROLLOUT_READ_DATABASE_URL`; None without one. `--database-url` comes first."""
    from reconciler.database.address import DatabaseAddress

    url = os.environ.get("ROLLOUT_READ_DATABASE_URL")
    if not url or settings.database_url is not None:
        return None
    return replace(DatabaseAddress.parse(url), accepts_replica=True)


@contextmanager
def reading_replica(settings: Settings) -> "Iterator[AnyConnection]":
    """Yield a connection as `reading` does, to the server of `ROLLOUT_READ_DATABASE_URL` if it is set.

    For what may be some seconds old: no plan, no act, no verdict. `--database-url` comes first. The age of a
    replica is printed.
    """
    from reconciler.database.schema import require_newest
    from reconciler.database.server import newest_replayed_change
    from reconciler.database.transactions import read_only_transaction

    address = find_replica_address(settings) or find_address(settings)
    database = open_address(replace(address, accepts_replica=True), to_write=False)
    with read_only_transaction(database) as connection:
        require_newest(connection)
        if newest := newest_replayed_change(connection):
            settings.inform(f"read from a replica; its newest change is of {show_time(newest)}")
        yield connection


def embedded_server(settings: Settings) -> "EmbeddedServer":
    """Return the embedded server beside the rollout file; it is not started."""
    from reconciler.database.embedded import EmbeddedServer

    return EmbeddedServer(embedded_folder(settings))


def embedded_folder(settings: Settings) -> Path:
    """Return the folder of the embedded database beside the rollout file, which may not exist."""
    from reconciler.database.address import EMBEDDED_FOLDER

    return settings.path.absolute().parent / EMBEDDED_FOLDER


def actor(settings: Settings) -> str:
    """Return the name of the person who runs this.

    It is the first of: --by, ROLLOUT_ACTOR, the actor of GitHub Actions, git's user.name in a checkout,
    the account.
    """
    if name := settings.by or os.environ.get("ROLLOUT_ACTOR"):
        return name
    if name := os.environ.get("GITHUB_ACTOR"):
        return f"{name} (GitHub Actions)"
    from reconciler.git.discovery import find_top

    # Outside a checkout the library for git is not worth its import.
    if find_top(settings.path.absolute().parent) is not None:
        from reconciler.git.user_commit import user_name

        if name := user_name(settings.path):
            return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def choose_feature(settings: Settings, features: Collection[str]) -> str:
    """Return the feature of a command: the named one, or the only one.

    Several features are listed in the order given.

    Raises:
        NotFound: there is no such feature, or no feature at all.
        click.UsageError: there are several and none is named.
    """
    if settings.feature is not None:
        require_feature(settings.feature, features)
        return settings.feature
    match list(features):
        case []:
            raise NotFound("there is no feature yet; apply a rollout file first: reconcile")
        case [feature]:
            return feature
        case several:
            raise click.UsageError(
                f"there are several features, name one with --feature: {', '.join(several)}"
            )


def choose_live_feature(settings: Settings, connection: "AnyConnection") -> str:
    """Return the feature of a command that reads the database, as `choose_feature` does."""
    from reconciler.database.names import read_feature_names

    return choose_feature(settings, sorted(read_feature_names(connection)))


def choose_features(settings: Settings, database: "Database") -> "Sequence[str]":
    """Return the features that a command looks at: the named one, or all.

    Raises:
        NotFound: there is no such feature.
    """
    from reconciler.database.names import read_feature_names
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction

    with read_only_transaction(database) as connection:
        require_newest(connection)
        features = read_feature_names(connection)
    if settings.feature is None:
        return features
    require_feature(settings.feature, features)
    return [settings.feature]


def require_feature(feature: str, features: Collection[str]) -> None:
    """Raise `NotFound`, with the nearest name, unless there is such a feature."""
    if feature not in features:
        near = get_close_matches(feature, features, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(features))}"
        raise NotFound(for_line(f"no feature is called {cut(feature)}; {hint}"))
