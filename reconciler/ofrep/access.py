"""Access: the requests that are answered.

With tokens, a request must send one of them. Without tokens, only requests of this machine are
answered, and only by one of its own names: so a page in a browser cannot reach the server by
another name that resolves to this machine.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol, Self

from reconciler.errors import SetupInvalid
from reconciler.listen_address import ListenAddress, host_of, is_loopback
from reconciler.watched_file import WatchedFile

_LOG = logging.getLogger("reconciler.ofrep")

TOKEN_VARIABLE: Final = "ROLLOUT_OFREP_TOKEN"  # noqa: S105 - its name
_LONGEST_TOKEN: Final = 4096
_MOST_TOKENS: Final = 100


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


def watch_tokens(path: Path) -> WatchedFile[tuple[bytes, ...]]:
    """Return the tokens of a file, one a line, read again when it changes.

    Raises:
        SetupInvalid: It cannot be read, or has no token.
    """
    return WatchedFile(path, _read_tokens, _report_kept)


def _report_kept(error: SetupInvalid) -> None:
    _LOG.warning("%s; the tokens read before still count", error)


def _read_tokens(path: Path) -> tuple[bytes, ...]:
    try:
        with path.open("rb") as file:
            text = file.read(2 * _LONGEST_TOKEN * _MOST_TOKENS).decode()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not a text"
        raise SetupInvalid(f"{path}: the token cannot be read: {why}") from None
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
