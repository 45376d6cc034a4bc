"""Access: the requests that are answered.

With tokens, a request must send one of them. Without tokens, only requests of this machine are
answered, and only by one of its own names: so a page in a browser cannot reach the server by
another name that resolves to this machine.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol, Self

from reconciler.errors import SetupInvalid
from reconciler.listen_address import ListenAddress, host_of, is_loopback

_LOG = logging.getLogger("reconciler.ofrep")

TOKEN_VARIABLE: Final = "ROLLOUT_OFREP_TOKEN"  # noqa: S105 - its name
_LONGEST_TOKEN: Final = 4096
_MOST_TOKENS: Final = 100
_LOOK_EVERY_SECONDS: Final = 1.0


class Tokens(Protocol):
    """The tokens that requests may send."""

    def current(self) -> tuple[bytes, ...]:
        """Return the tokens that count now, at least one."""


@dataclass(frozen=True, slots=True)
class FixedToken:
    """One fixed token."""

    token: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return a token.

        Raises:
            SetupInvalid: It cannot be sent in a header.
        """
        return cls(_parse_token(text))

    def current(self) -> tuple[bytes, ...]:
        """Return the token."""
        return (self.token,)


class TokenFile:
    """The tokens of a file, one a line, read again when it changes.

    While the file cannot be read, the earlier tokens count: a file may be missing while it is
    replaced.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            SetupInvalid: It cannot be read, or has no token.
        """
        self._path = path
        self._seen = self._stamp()
        self._tokens = self._read()
        self._look_at = time.monotonic() + _LOOK_EVERY_SECONDS

    def current(self) -> tuple[bytes, ...]:
        """Return the tokens of the file, as of at most a second ago."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_EVERY_SECONDS
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                try:
                    self._tokens = self._read()
                except SetupInvalid as error:
                    _LOG.warning("%s; the tokens read before still count", error)
        return self._tokens

    def _stamp(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _read(self) -> tuple[bytes, ...]:
        try:
            with self._path.open("rb") as file:
                text = file.read(2 * _LONGEST_TOKEN * _MOST_TOKENS).decode()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not a text"
            raise SetupInvalid(f"{self._path}: the token cannot be read: {why}") from None
        return tuple(map(_parse_token, text.strip().splitlines() or [""]))


@dataclass(frozen=True, slots=True)
class Access:
    """Decides which requests are answered."""

    tokens: Tokens | None = None

    @classmethod
    def make(cls, address: ListenAddress, tokens: Tokens | None) -> Self:
        """Return the access to a server at an address.

        Raises:
            SetupInvalid: other machines can reach it and there is no token.
        """
        if tokens is None and not address.is_loopback:
            raise SetupInvalid(
                f"other machines can reach {address}: set {TOKEN_VARIABLE} or give --token-file"
            )
        return cls(tokens)

    def refusal(self, headers: Mapping[str, str]) -> HTTPStatus | None:
        """Return the status that refuses a request with these headers; None if it is answered."""
        if self.tokens is None:
            return None if is_loopback(host_of(headers.get("host", ""))) else HTTPStatus.FORBIDDEN
        tokens = self.tokens.current()
        matches = [compare_digest(given, token) for given in _given(headers) for token in tokens]
        return None if any(matches) else HTTPStatus.UNAUTHORIZED


def _given(headers: Mapping[str, str]) -> Iterator[bytes]:
    """Yield possible tokens: a proxy may have added its own `Authorization` beside an API key."""
    kind, _, credentials = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        yield credentials.strip().encode("utf-8", "replace")
    if "x-api-key" in headers:
        yield headers["x-api-key"].encode("utf-8", "replace")


def _parse_token(text: str) -> bytes:
    stripped = text.strip()
    if not (0 < len(stripped) <= _LONGEST_TOKEN and stripped.isascii()) or not all(
        "!" <= each <= "~" for each in stripped
    ):
        raise SetupInvalid(
            "the token is invalid: it is empty, too long, or has a character that a token cannot have"
        )
    return stripped.encode()
