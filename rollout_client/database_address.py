"""The address of a database: a URL or libpq's `key=value` text, read without connecting.

libpq's own parser reads it. The text may contain a password, at any place if it has a mistake. So
no message here repeats the text, and only `url` returns the secrets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from rollout_client.errors import SetupInvalid

_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg")
_SECRETS = frozenset(
    ("password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret")
)
_PORTS = range(1, 65_536)
_KNOWS_PRIMARY = 14_00_00
_HOW_TO_WRITE = (
    "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special characters in the "
    "password percent-encoded"
)


@dataclass(frozen=True, slots=True, repr=False)
class DatabaseAddress:
    """A database and the sign-in there, as libpq's keywords and their values.

    Its text form has no secret.
    """

    parameters: Mapping[str, str]
    embedded_in: Path | None = None
    """The folder of the embedded database; None for any other."""
    accepts_replica: bool = False
    """Whether a replica may answer, for what may be some seconds old."""

    @classmethod
    def parse(cls, text: str) -> "DatabaseAddress":
        """Return the address in a `postgresql://` URL or a `key=value` text.

        Raises:
            SetupInvalid: the text is neither; the message doesn't repeat it.
        """
        stripped = text.strip()
        parameters = _parameters(_url_for_libpq(stripped) if "://" in stripped else stripped)
        if not all(value.isprintable() for value in parameters.values()):
            raise _unreadable("it has a control character in it")
        for port in filter(None, parameters.get("port", "").split(",")):
            if not (port.isascii() and port.isdigit() and int(port[:6]) in _PORTS):
                raise _unreadable("its port is not a number from 1 to 65535")
        return cls(parameters)

    @property
    def is_embedded(self) -> bool:
        """Whether this is the embedded database."""
        return self.embedded_in is not None

    @property
    def url(self) -> str:
        """The address as a URL for libpq, **with its secrets**: for connecting, never for printing."""
        return _to_url(self.parameters)

    @property
    def url_without_secrets(self) -> str:
        """The address as a URL for libpq, without its secrets."""
        return _to_url({k: v for k, v in self.parameters.items() if k not in _SECRETS})

    @property
    def password(self) -> str | None:
        """The password, if one is in the address."""
        return self.parameters.get("password")

    def describe(self) -> str:
        """Return host, port, database and user, for a message."""
        if self.is_embedded:
            return "the embedded database"
        host = self.parameters.get("host") or self.parameters.get("hostaddr")
        port = self.parameters.get("port")
        database = self.parameters.get("dbname")
        user = self.parameters.get("user")
        parts = [
            f"database {database}" if database else "the default database",
            f"at {host}" if host else "at the default host",
            f"port {port}" if port else "",
            f"as {user}" if user else "",
        ]
        return " ".join(part for part in parts if part)

    def without_secrets(self, text: str) -> str:
        """Return the text with `***` in place of every secret of this address, in each of its spellings."""
        secrets = {self.parameters[name] for name in _SECRETS & self.parameters.keys()}
        spellings = {
            spelling for secret in secrets for spelling in (secret, quote(secret, safe=""))
        }
        for spelling in sorted(spellings, key=len, reverse=True):
            text = text.replace(spelling, "***")
        return text

    def __repr__(self) -> str:
        return f"<DatabaseAddress: {self.describe()}>"


def primary_only(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return parameters for libpq with which no replica answers: its data may be of before a stop."""
    from psycopg import pq

    given = parameters.get("target_session_attrs")
    if given in {"primary", "read-write"}:
        return dict(parameters)
    # Before version 14, libpq does not know `primary`.
    primary = "primary" if pq.version() >= _KNOWS_PRIMARY else "read-write"
    return {**parameters, "target_session_attrs": primary}


def _url_for_libpq(url: str) -> str:
    """Return a URL with the scheme and the encoding that libpq accepts."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _unreadable("it is not a URL") from None
    if parts.scheme not in _SCHEMES:
        raise _unreadable("it doesn't begin with postgresql://")
    # Text after an unencoded `/`, `?` or `#` of a password would be taken for a name, and be
    # printed.
    if parts.fragment or "@" in parts.path or "@" in parts.query or "/" in parts.path[1:]:
        raise _unreadable("it has a special character in the wrong place")
    credentials, at, rest = url.partition("://")[2].rpartition("@")
    # libpq takes the first @ for the end of the password.
    credentials = credentials.replace("@", "%40").replace(" ", "%20")
    return f"postgresql://{credentials}{at}{rest}"


def _parameters(text: str) -> dict[str, str]:
    """Return libpq's keywords in a text with their values; psycopg is imported only here."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    if "\0" in text:
        raise _unreadable("it has a control character in it")
    try:
        found = conninfo_to_dict(text)
    except (ProgrammingError, UnicodeError):
        # The error's own text can repeat the password.
        raise _unreadable("it is neither a URL nor a list of key=value for Postgres") from None
    return {keyword: str(value) for keyword, value in found.items() if value}


def _to_url(parameters: Mapping[str, str]) -> str:
    """Return a URL with the database in its path and the rest in its query, which accepts any value."""
    rest = {keyword: value for keyword, value in parameters.items() if keyword != "dbname"}
    path = quote(parameters.get("dbname", ""), safe="")
    return (
        f"postgresql:///{path}?{urlencode(rest, quote_via=quote)}"
        if rest
        else f"postgresql:///{path}"
    )


def _unreadable(reason: str) -> SetupInvalid:
    return SetupInvalid(f"the database URL can't be read: {reason}; {_HOW_TO_WRITE}")
