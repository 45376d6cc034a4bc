"""Running a migration's `.sql` file, statement after statement, on a connection."""

from collections.abc import Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import psycopg

from reconciler.errors import SetupInvalid

if TYPE_CHECKING:
    from sqlalchemy import Connection

REFUSAL_SQLSTATE = "RR001"
"""The SQLSTATE of a refusal by a file: the error's message is the reason, its hint the next step."""

OBJECT_FILES: Final = (
    "0001_triggers.sql",
    "0001_eligibility.sql",
    "0002_eligibility.sql",
    "0001_recording.sql",
    "0003_functions.sql",
    "0005_functions.sql",
    "0007_functions.sql",
    "0008_functions.sql",
    "0010_functions.sql",
    "0011_functions.sql",
    "0013_functions.sql",
    "0014_functions.sql",
    "0016_functions.sql",
    "0017_starts.sql",
    "0017_functions.sql",
    "0018_functions.sql",
    "0019_functions.sql",
)
"""Every function, trigger and view, in an order in which a later file replaces an earlier definition."""

RECORD_FILES: Final = (
    "0003_record.sql",
    "0007_record.sql",
    "0011_record.sql",
    "0013_record.sql",
    "0014_record.sql",
    "0017_record.sql",
    "0019_record.sql",
)
"""Each records the objects of its release; only the newest one runs."""

OBJECTS_SINCE: Final = "0003"
"""The first revision whose objects are made again at the end of an upgrade."""
_RIGHTS_SINCE: Final = "0012"


def run_file(name: str, connection: "Connection | None" = None) -> None:
    """Run the file `sql/<name>` of this package, on alembic's connection unless another one is given.

    Raises:
        SetupInvalid: the file refuses; the message names the decision that a person must make.
    """
    text = _text(name)
    if connection is None:
        from alembic import op

        connection = op.get_bind()
    # Directly by the driver: a file has many statements, and its % and : are not parameters.
    driver_connection: Any = connection.connection.driver_connection
    try:
        driver_connection.execute(text)
    except psycopg.Error as error:
        if error.sqlstate != REFUSAL_SQLSTATE:
            raise
        raise SetupInvalid(
            f"{error.diag.message_primary}\nnothing was changed; {error.diag.message_hint}"
        ) from error


def object_texts() -> Iterator[str]:
    """Yield the text of each file that makes functions, triggers and views."""
    yield from map(_text, OBJECT_FILES)


def run_objects(connection: "Connection | None" = None, *, until: str = "9999") -> None:
    """Make every function, trigger and view as this release has it, record them, and close them to PUBLIC.

    Each upgrade ends with it (`env.py`). A revision calls it only if its own statements need its functions.

    Args:
        connection: alembic's, unless another one is given.
        until: a revision; objects of later ones need tables that a migration does not have yet.

    Raises:
        SetupInvalid: an object of the service needs a function that must be made again.
    """
    sets_rights = until >= _RIGHTS_SINCE
    for name in (
        *(("0012_known.sql",) if sets_rights else ()),
        *(name for name in OBJECT_FILES if name[:4] <= until),
        "0003_host_functions.sql",
        "0001_service_functions.sql",
        max(name for name in RECORD_FILES if name[:4] <= until),
        *(("0012_rights.sql", "0015_rights.sql") if sets_rights else ()),
    ):
        run_file(name, connection)


def _text(name: str) -> str:
    return files("reconciler.database.migrations").joinpath("sql", name).read_text("utf-8")
