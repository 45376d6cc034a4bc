"""Addresses and secrets of targets, from the environment: they are never in a file of the repository."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from reconciler.errors import SetupInvalid
from reconciler.rollout_file.notifications import TargetKind

PAGERDUTY_URL: Final = "https://events.pagerduty.com/v2/enqueue"
MAX_FILE_BYTES: Final = 16_384
HIDDEN: Final = "***"
SHORTEST_PART: Final = 6
"""Shorter parts of an address are shown: they can be a part of any word."""
_BETWEEN: Final = re.compile("[&=]")


@dataclass(frozen=True, slots=True)
class TargetAddress:
    """Where the messages of a target go."""

    url: str = field(repr=False)
    """The address; for most services it is a secret too."""
    secret: str | None = field(default=None, repr=False)
    """The key that signs (webhook) or routes (pagerduty)."""

    def without_secrets(self, text: str) -> str:
        """Return a text in which neither the address nor the secret stands, nor a part of them.

        A receiver may repeat the request in its answer, and the answer may end within a secret.
        """
        hidden = self._hidden()
        for each in hidden:
            text = text.replace(each, HIDDEN)
        for each in hidden:
            for length in range(len(each) - 1, SHORTEST_PART - 1, -1):
                if text.endswith(each[:length]):
                    return f"{text[:-length]}{HIDDEN}"
        return text

    def _hidden(self) -> list[str]:
        """Return the address, the secret and their parts, the longest first."""
        parts = {(self.secret or "").removeprefix("whsec_")}
        with suppress(ValueError):
            url = urlsplit(self.url)
            written = (*url.path.split("/"), *_BETWEEN.split(url.query), url.password or "")
            parts.update(written, map(unquote, written))
        found = {each for each in parts if len(each) >= SHORTEST_PART}
        found.update(filter(None, (self.url, self.secret)))
        return sorted(found, key=len, reverse=True)


def read_address(
    name: str, kind: TargetKind, environment: Mapping[str, str] = os.environ
) -> TargetAddress:
    """Return the address of a target: ROLLOUT_NOTIFY_<NAME>_URL and _SECRET, or …_FILE of either.

    Raises:
        SetupInvalid: a variable is missing, or its file cannot be read.
    """
    variable = f"ROLLOUT_NOTIFY_{name.upper()}"
    url = _read(f"{variable}_URL", environment)
    secret = _read(f"{variable}_SECRET", environment)
    match kind:
        case TargetKind.PAGERDUTY:
            url = url or PAGERDUTY_URL
            needed = None if secret else f"{variable}_SECRET to the routing key"
        case TargetKind.WEBHOOK:
            if not url:
                needed = f"{variable}_URL to the address"
            else:
                needed = None if secret else f"{variable}_SECRET to the signing secret (whsec_…)"
        case _:
            needed = None if url else f"{variable}_URL to the address"
    if needed is not None or url is None:
        raise SetupInvalid(f"the target {name} has no address; set {needed}, or …_FILE to its file")
    return TargetAddress(url, secret)


def _read(variable: str, environment: Mapping[str, str]) -> str | None:
    if value := environment.get(variable):
        return value.strip()
    file = environment.get(f"{variable}_FILE")
    if not file:
        return None
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES)
        return content.decode().strip() or None
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise SetupInvalid(f"{variable}_FILE cannot be read: {why}") from None
