"""Completion of names from the database, for a shell.

A shell waits for the answer: no server is started for it, and any failure is an empty answer. The driver
alone asks, because the import of SQLAlchemy takes longer than the question.
"""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import click

from reconciler.cli.context import embedded_server, find_address
from reconciler.cli.options import Settings, settings_of
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from reconciler.database.driver import DriverConnection

MAX_NAMES: Final = 100
"""The largest number of offered names."""


def complete_repositories(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Return the names of repositories that begin with a text."""
    from reconciler.database.names import names_with_prefix

    settings = settings_of(context)
    return [
        *_ask(settings, lambda connection: names_with_prefix(connection, incomplete, MAX_NAMES))
    ]


def complete_features(settings: Settings, incomplete: str) -> list[str]:
    """Return the features of the database that begin with a text."""
    from reconciler.database.names import read_feature_names

    return [each for each in _ask(settings, read_feature_names) if each.startswith(incomplete)]


def _ask(
    settings: Settings, question: "Callable[[DriverConnection], Sequence[str]]"
) -> Sequence[str]:
    from reconciler.database.driver import StatementFailed
    from reconciler.database.embedded import ServerState
    from reconciler.database.transactions import Database, read_only_transaction

    is_named = settings.database_url is not None or "DATABASE_URL" in os.environ
    settings.quiet = True
    try:
        if not is_named and embedded_server(settings).status().state is not ServerState.RUNNING:
            return ()
        with read_only_transaction(Database.at(find_address(settings))) as connection:
            return question(connection)
    except (ReconcilerError, StatementFailed):
        return ()
