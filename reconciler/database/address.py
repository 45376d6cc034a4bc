"""Which database a command works on: the option's, `DATABASE_URL`'s or the embedded one."""

import os
from collections.abc import Mapping
from pathlib import Path

from reconciler.errors import SetupInvalid
from rollout_client.database_address import DatabaseAddress

__all__ = [
    "EMBEDDED_FOLDER",
    "ENVIRONMENT_VARIABLE",
    "DatabaseAddress",
    "embedded_address",
    "resolve_address",
]

ENVIRONMENT_VARIABLE = "DATABASE_URL"
EMBEDDED_FOLDER = ".reconcile"
"""Beside the rollout file: the embedded database's folder."""


def resolve_address(
    database_url: str | None,
    rollout_file: Path,
    environment: Mapping[str, str] = os.environ,
) -> DatabaseAddress:
    """Return the database to work on: the option's, else `DATABASE_URL`'s, else the embedded one.

    The embedded database, beside the rollout file, is started if it does not run.

    Raises:
        SetupInvalid: the address can't be read, or is set and empty: a workflow's missing secret
            must not lead to a new, empty database.
        Unavailable: the embedded database does not start.
    """
    text = environment.get(ENVIRONMENT_VARIABLE) if database_url is None else database_url
    if text is None:
        return embedded_address(rollout_file)
    if not text.strip():
        raise SetupInvalid(
            f"the database URL is empty: give --database-url or {ENVIRONMENT_VARIABLE} an address, "
            "or unset it for the embedded database"
        )
    return DatabaseAddress.parse(text)


def embedded_address(rollout_file: Path) -> DatabaseAddress:
    """Return the address of the embedded database beside this file, after starting it if it does not run.

    Raises:
        SetupInvalid: a permission, an account, a program or its data folder is wrong.
        Unavailable: it does not start.
    """
    from reconciler.database.embedded import EmbeddedServer

    folder = rollout_file.absolute().parent / EMBEDDED_FOLDER
    url = EmbeddedServer(folder).start()
    return DatabaseAddress(DatabaseAddress.parse(url).parameters, embedded_in=folder)
