"""Where the database is: a URL or libpq's `key=value` text, read without connecting.

The text may hold a password, and whoever writes one wrongly has it in odd places: nothing here
repeats a text that can't be read, and only `url` tells the secrets.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from reconciler.errors import SetupInvalid

ENVIRONMENT_VARIABLE = "DATABASE_URL"
EMBEDDED_FOLDER = ".reconcile"
"""Beside the rollout file: the embedded database's folder."""

_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg")
_SECRETS = frozenset(
    ("password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret")
)
# What libpq 18 knows: https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_KEYWORDS = _SECRETS | frozenset(
    """
    host hostaddr port dbname user passfile require_auth channel_binding connect_timeout
    client_encoding options application_name fallback_application_name keepalives keepalives_idle
    keepalives_interval keepalives_count tcp_user_timeout sslmode requiressl sslnegotiation
    sslcompression sslcert sslkey sslkeylogfile sslcertmode sslrootcert sslcrl sslcrldir sslsni
    requirepeer ssl_min_protocol_version ssl_max_protocol_version min_protocol_version
    max_protocol_version krbsrvname gsslib gssencmode gssdelegation service target_session_attrs
    load_balance_hosts oauth_issuer oauth_client_id oauth_scope replication
    """.split()  # noqa: SIM905 - a list of words reads better
)
_KEY_VALUE = re.compile(r"\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)+))(?=\s|$)")
_HOW_TO_WRITE = (
    "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special characters in the "
    "password percent-encoded"
)


@dataclass(frozen=True, slots=True, repr=False)
class DatabaseAddress:
    """Where a database is and how to sign in there, as libpq's keywords and their values.

    Printing it tells no secret.
    """

    parameters: Mapping[str, str]
    embedded_in: Path | None = None
    """The folder of the embedded database; None for any other."""

    @classmethod
    def parse(cls, text: str) -> "DatabaseAddress":
        """Read a `postgresql://` URL (also `postgres://`, `postgresql+psycopg://`) or `key=value`s.

        Raises:
            SetupInvalid: It is neither; the message doesn't repeat it.
        """
        stripped = text.strip()
        parameters = _from_url(stripped) if "://" in stripped else _from_key_values(stripped)
        for keyword, value in parameters.items():
            if keyword not in _KEYWORDS:
                raise _unreadable("it has a parameter that Postgres doesn't know")
            if not value.isprintable():
                raise _unreadable("it has a control character in it")
        for port in filter(None, parameters.get("port", "").split(",")):
            if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):  # noqa: PLR2004
                raise _unreadable("its port is no number from 1 to 65535")
        return cls({keyword: value for keyword, value in parameters.items() if value})

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded database's."""
        return self.embedded_in is not None

    @property
    def url(self) -> str:
        """It as a URL for libpq, **with its secrets**: to connect by, never to print."""
        return _to_url(self.parameters)

    @property
    def url_without_secrets(self) -> str:
        """It as a URL for libpq, without its secrets."""
        return _to_url({k: v for k, v in self.parameters.items() if k not in _SECRETS})

    @property
    def password(self) -> str | None:
        """The password, if one is in the address."""
        return self.parameters.get("password")

    def describe(self) -> str:
        """Host, port, database and user, for a message."""
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
        """The text with every secret of this address, however written, starred out."""
        secrets = {self.parameters[name] for name in _SECRETS & self.parameters.keys()}
        spellings = {
            spelling for secret in secrets for spelling in (secret, quote(secret, safe=""))
        }
        for spelling in sorted(spellings, key=len, reverse=True):
            text = text.replace(spelling, "***")
        return text

    def __repr__(self) -> str:
        return f"<DatabaseAddress: {self.describe()}>"


def resolve_address(
    database_url: str | None,
    rollout_file: Path,
    environment: Mapping[str, str] = os.environ,
) -> DatabaseAddress:
    """The database to work on: the option's, else `DATABASE_URL`'s, else the embedded one.

    The embedded one, beside the rollout file, is started where it doesn't run.

    Raises:
        SetupInvalid: The address can't be read, or is set and empty: a workflow's missing secret
            must not lead to a new, empty database.
        Unavailable: The embedded database doesn't start.
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
    """The address of the embedded database beside this file, started where it doesn't run.

    Raises:
        SetupInvalid: A permission, an account, a program or its data folder is wrong.
        Unavailable: It doesn't start.
    """
    from reconciler.database.embedded import EmbeddedServer

    folder = rollout_file.absolute().parent / EMBEDDED_FOLDER
    url = EmbeddedServer(folder).start()
    return DatabaseAddress(DatabaseAddress.parse(url).parameters, embedded_in=folder)


def _from_url(text: str) -> dict[str, str]:
    try:
        parts = urlsplit(text)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _unreadable("it is no URL") from None
    if parts.scheme not in _SCHEMES:
        raise _unreadable("it doesn't begin with postgresql://")
    # What follows an unencoded `/`, `?` or `#` of a password would pass for a name, and be shown.
    if parts.fragment or "@" in parts.path or "@" in parts.query or "/" in parts.path[1:]:
        raise _unreadable("it has a special character at an odd place")
    signing_in, _, hosts = parts.netloc.rpartition("@")
    user, _, password = signing_in.partition(":")
    host, port = _host_and_port(hosts)
    return {
        "user": unquote(user),
        "password": unquote(password),
        "host": host,
        "port": port,
        "dbname": unquote(parts.path[1:]),
        **dict(query),
    }


def _host_and_port(hosts: str) -> tuple[str, str]:
    """One or several hosts with their ports, as libpq wants them: each a list of its own."""
    names, ports = [], []
    for each in hosts.split(","):
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^:\[\]]*))(?::([^:]*))?", each)
        if found is None:
            raise _unreadable("its host can't be read")
        names.append(unquote(found[1] or found[2] or ""))
        ports.append(found[3] or "")
    return ",".join(names), ",".join(ports) if any(ports) else ""


def _from_key_values(text: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    position = 0
    while position < len(text):
        found = _KEY_VALUE.match(text, position)
        if found is None:
            break
        value = found[2] if found[2] is not None else found[3]
        parameters[found[1]] = re.sub(r"\\(.)", r"\1", value)
        position = found.end()
    if position < len(text) or not parameters:
        raise _unreadable("it is neither a URL nor a list of key=value")
    return parameters


def _to_url(parameters: Mapping[str, str]) -> str:
    """A URL with the database in its path, and everything else where any value can stand."""
    rest = {keyword: value for keyword, value in parameters.items() if keyword != "dbname"}
    path = quote(parameters.get("dbname", ""), safe="")
    return (
        f"postgresql:///{path}?{urlencode(rest, quote_via=quote)}"
        if rest
        else f"postgresql:///{path}"
    )


def _unreadable(reason: str) -> SetupInvalid:
    return SetupInvalid(f"the database URL can't be read: {reason}; {_HOW_TO_WRITE}")
