"""Databases of a service on a hosted platform, on the embedded server and on the distribution's."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from tests.database.hosts import drop_role, new_role
from tests.postgres import Database

_FOLDER: Final = Path(__file__).parent / "service"
_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_TABLES: Final = (
    "repositories",
    "pull_requests",
    "rollout_configuration",
    "repository_categories",
    "rollout_metrics",
    "rollout_history",
)
_DAYS_AROUND_NOW: Final = 30
_EMBEDDED_HAS_NO_EXTENSION: Final = """
    CREATE FUNCTION public.uuid_generate_v4() RETURNS uuid
    LANGUAGE sql VOLATILE AS 'SELECT gen_random_uuid()'
"""


@dataclass(frozen=True)
class Service:
    """A service's database, with the two roles of its platform."""

    database: Database
    anon: str
    login: str

    @classmethod
    @contextmanager
    def make(cls, database: Database) -> Iterator["Service"]:
        """Give an empty database the service's tables and rows; drop its roles afterwards."""
        service = cls(database, new_role(database, "anon"), new_role(database, "service"))
        try:
            extension = "SELECT count(*) FROM pg_available_extensions WHERE name = 'uuid-ossp'"
            database.execute(
                'CREATE EXTENSION "uuid-ossp"'
                if database.value(extension)
                else _EMBEDDED_HAS_NO_EXTENSION
            )
            database.execute(service.named((_FOLDER / "schema.sql").read_text()))
            database.execute((_FOLDER / "rows.sql").read_text())
            yield service
        finally:
            drop_role(database, service.anon)
            drop_role(database, service.login)

    def named(self, sql: str) -> str:
        """The SQL with the names that the roles have on this server."""
        return re.sub(r"\bservice_role\b", self.login, re.sub(r"\banon\b", self.anon, sql))

    def effect(self, name: str, database: Database) -> "Effect":
        """What a statement of the service returns and changes; nothing of it stays."""
        role = self.anon if name.startswith("anon_") else self.login
        return self.effect_of(STATEMENTS[name], role, database)

    def effect_of(self, statement: str, role: str, database: Database) -> "Effect":
        """The same for any statement of a role."""
        with psycopg.connect(database.url, row_factory=dict_row) as connection:
            before = _contents(connection)
            connection.execute(f"SET ROLE {role}".encode())
            try:
                with connection.transaction():
                    cursor = connection.execute(statement.encode())
                    returned = cursor.fetchall() if cursor.description else []
                    number, error = cursor.rowcount, None
            except psycopg.Error as failure:
                returned, number, error = [], 0, failure.sqlstate
            connection.execute("RESET ROLE")
            now = connection.execute("SELECT now() AS now").fetchone()
            assert now is not None
            after = _contents(connection)
            connection.rollback()
        if "INSERT INTO rollout_history" in statement:
            after |= _only_touched(before, after)
        comparable = _Comparable(now["now"], before)
        return Effect(
            error,
            number,
            [comparable.row(row) for row in returned],
            [
                comparable.row(before[key])
                for key in sorted(before)
                if after.get(key) != before[key]
            ],
            sorted(
                (comparable.row(row) for key, row in after.items() if before.get(key) != row),
                key=repr,
            ),
        )


@dataclass(frozen=True)
class Effect:
    """What one statement did: times count from its transaction, and new ids do not count."""

    error: str | None
    number: int
    returned: list[dict[str, Any]]
    changed_from: list[dict[str, Any]]
    changed_to: list[dict[str, Any]]


def _statements() -> Mapping[str, str]:
    _, *parts = _NAME.split((_FOLDER / "statements.sql").read_text())
    return dict(zip(parts[::2], parts[1::2], strict=True))


STATEMENTS: Final = _statements()
"""The statements and calls of the service's code and consoles that touch these tables, by name."""


def _contents(connection: "psycopg.Connection[Any]") -> dict[tuple[str, str], dict[str, Any]]:
    """Every row of the service's tables, with the columns that the service has."""
    rows = {}
    for table in _TABLES:
        columns = ", ".join(_columns(table))
        for row in connection.execute(f"SELECT {columns} FROM public.{table}".encode()):
            rows[table, str(row["id"])] = {"table": table, **row}
    return rows


def _only_touched(
    before: Mapping[tuple[str, str], dict[str, Any]],
    after: Mapping[tuple[str, str], dict[str, Any]],
) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of configuration of which nothing but `updated_at` moved, as they were.

    The rollout keeps the time of a change there, and the service's own trigger then moves `updated_at`.
    """
    return {
        key: before[key]
        for key, row in after.items()
        if key[0] == "rollout_configuration"
        and key in before
        and row | {"updated_at": None} == before[key] | {"updated_at": None}
    }


def _columns(table: str) -> list[str]:
    definition = re.search(
        rf"CREATE TABLE public\.{table} \((.*?)^\);", (_FOLDER / "schema.sql").read_text(), re.DOTALL | re.MULTILINE
    )  # fmt: skip
    assert definition is not None
    return re.findall(r"^    ([a-z_]+) ", definition.group(1), re.MULTILINE)


class _Comparable:
    """Makes rows of two databases comparable: new times count from the transaction's, and new ids do not count."""

    def __init__(self, now: datetime, before: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        self._now = now
        self._known = {
            each
            for row in before.values()
            for each in row.values()
            if isinstance(each, datetime | UUID)
        }

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._value(found) for name, found in row.items()}

    def _value(self, found: Any) -> Any:
        match found:
            case datetime() | UUID() if found in self._known:
                return found
            case datetime() if found.minute == found.second == found.microsecond == 0:
                hour = self._now.replace(minute=0, second=0, microsecond=0)
                return f"{(found - hour).total_seconds():+} from this hour"
            case datetime() if abs((found - self._now).days) < _DAYS_AROUND_NOW:
                return (found - self._now).total_seconds()
            case UUID():
                return "new"
            case Decimal():
                return float(found)
            case _:
                return found
