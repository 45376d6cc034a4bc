"""Signed texts that a browser keeps: sessions, and proofs of forms. Replicas share the secret."""

import base64
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from reconciler.dashboard.sign_in.private_file import read_private
from reconciler.errors import SetupInvalid

SHORTEST_SECRET: Final = 32
_LONGEST_TEXT: Final = 8_192


class Signer:
    """Signs texts with one secret; a signature counts for its purpose alone."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def random(cls) -> Self:
        """Return a signer whose texts end with this process."""
        return cls(secrets.token_bytes(SHORTEST_SECRET))

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Return the signer with the secret of a file.

        Raises:
            SetupInvalid: the file cannot be read, others can read it, or it is too short.
        """
        secret = read_private(path).strip()
        if len(secret) < SHORTEST_SECRET:
            raise SetupInvalid(
                f"{path}: the secret is shorter than {SHORTEST_SECRET} bytes; "
                f"make one: openssl rand -hex 32 > {path}"
            )
        return cls(secret)

    def proof(self, purpose: str, text: str) -> str:
        """Return the signature of a text."""
        return hmac.new(self._secret, f"{purpose}\0{text}".encode(), "sha256").hexdigest()

    def proves(self, given: str, purpose: str, text: str) -> bool:
        """Return whether a signature is that of a text."""
        return hmac.compare_digest(given.encode(), self.proof(purpose, text).encode())

    def sign(self, purpose: str, claims: Mapping[str, Any], *, seconds: float) -> str:
        """Return claims as a text that counts for some seconds."""
        content = json.dumps({**claims, "until": time.time() + seconds}).encode()
        text = base64.urlsafe_b64encode(content).decode()
        return f"{text}.{self.proof(purpose, text)}"

    def read(self, purpose: str, signed: str | None) -> Mapping[str, Any] | None:
        """Return the claims of a text; None if it is forged or too old."""
        if signed is None or len(signed) > _LONGEST_TEXT:
            return None
        text, _, proof = signed.partition(".")
        if not self.proves(proof, purpose, text):
            return None
        claims: Mapping[str, Any] = json.loads(base64.urlsafe_b64decode(text))
        return claims if time.time() < claims["until"] else None
