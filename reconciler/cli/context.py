"""Opening what a command works on: the file, the database, the feature it means."""

import getpass
import os
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import Settings
from reconciler.cli.render.escape import for_line
from reconciler.errors import NotFound
from reconciler.rollout_file.characters import cut

if TYPE_CHECKING:
    from reconciler.database.address import DatabaseAddress
    from reconciler.database.embedded import EmbeddedServer
    from reconciler.database.transactions import Database


def open_database(settings: Settings, *, to_write: bool = False) -> "Database":
    """Return the database that the settings name; the embedded one is started where it does not run.

    A fresh embedded database gets its schema here; an older one is migrated only where the command
    writes. Any other database is left as it is.
    """
    from reconciler.database.address import resolve_address

    return open_address(resolve_address(settings.database_url, settings.path), to_write=to_write)


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


def embedded_server(settings: Settings) -> "EmbeddedServer":
    """Return the embedded server beside the rollout file, as it is."""
    from reconciler.database.address import EMBEDDED_FOLDER
    from reconciler.database.embedded import EmbeddedServer

    return EmbeddedServer(settings.path.absolute().parent / EMBEDDED_FOLDER)


def who_acts() -> str:
    """Return who runs this, as far as the machine can tell."""
    if actor := os.environ.get("GITHUB_ACTOR"):
        return f"{actor} (GitHub Actions)"
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def choose_feature(settings: Settings, features: Collection[str]) -> str:
    """Return the feature that a command means: the one named, or the only one there is.

    Raises:
        NotFound: there is no such feature, or none at all.
        click.UsageError: there are several and none is named.
    """
    if settings.feature is not None:
        require_feature(settings.feature, features)
        return settings.feature
    match sorted(features):
        case []:
            raise NotFound("there is no feature yet; apply a rollout file first: reconcile")
        case [feature]:
            return feature
        case several:
            raise click.UsageError(
                f"there are several features, name one with --feature: {', '.join(several)}"
            )


def read_features(settings: Settings, database: "Database") -> "Sequence[str]":
    """Return the features that a command looks at: the one named, or all there are.

    Raises:
        NotFound: there is no such feature.
    """
    from reconciler.database.live_state import read_feature_names
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
