"""Access: which requests are answered.

With a token, those that send it. Without one only those of this machine, and only by one of its own names: a
page in a browser, whose host's name was made to lead here, is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from http import HTTPStatus
from pathlib import Path
from typing import Final, Self

from reconciler.errors import SetupInvalid
from reconciler.listen_address import ListenAddress, host_of, is_loopback

TOKEN_VARIABLE: Final = "ROLLOUT_OFREP_TOKEN"  # noqa: S105 - its name
_LONGEST_TOKEN: Final = 4096


@dataclass(frozen=True, slots=True)
class Access:
    """Which requests are answered."""

    token: str | None = field(default=None, repr=False)

    @classmethod
    def make(cls, address: ListenAddress, token: str | None) -> Self:
        """Return the access to a server at an address.

        Raises:
            SetupInvalid: others reach it and there is no token, or none that can be sent.
        """
        if token is None:
            if not address.is_loopback:
                raise SetupInvalid(
                    f"others reach {address}: set {TOKEN_VARIABLE} or give --token-file"
                )
            return cls()
        stripped = token.strip()
        if not (0 < len(stripped) <= _LONGEST_TOKEN and stripped.isascii()) or not all(
            "!" <= each <= "~" for each in stripped
        ):
            raise SetupInvalid(
                "the token is no token: it is empty, too long, or has other characters"
            )
        return cls(stripped)

    def refusal(self, headers: Mapping[str, str]) -> HTTPStatus | None:
        """Return the status that refuses a request with these headers; None where it is answered."""
        if self.token is None:
            return None if is_loopback(host_of(headers.get("host", ""))) else HTTPStatus.FORBIDDEN
        kind, _, credentials = headers.get("authorization", "").partition(" ")
        given = credentials.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")
        is_it = compare_digest(given.encode("utf-8", "replace"), self.token.encode())
        return None if is_it else HTTPStatus.UNAUTHORIZED


def read_token(path: Path) -> str:
    """Return the content of a token's file.

    Raises:
        SetupInvalid: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(2 * _LONGEST_TOKEN).decode()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not a text"
        raise SetupInvalid(f"{path}: the token cannot be read: {why}") from None
