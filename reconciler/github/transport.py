"""Requests to GitHub, each sent once: the answer, or the kind of failure.

The token is sent to the API's own origin only. An answer is read up to a size limit.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from reconciler._version import __version__
from reconciler.errors import SetupInvalid, Unavailable

if TYPE_CHECKING:
    import httpx

API_VERSION: Final = "2022-11-28"
TIMEOUT_SECONDS: Final = 30.0
MAX_BYTES: Final = 32 * 1024 * 1024

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    url: str
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    most: int = MAX_BYTES
    """The largest number of bytes of an answer."""
    is_query: bool = False
    """Whether it is a GraphQL query, which changes nothing."""
    is_repeatable: bool = False
    """Whether a second one like it has no effect, although its method is not safe to repeat."""

    @property
    def name(self) -> str:
        """Method and path, for messages."""
        return f"{self.method} {urlsplit(self.url).path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its status, headers with names in lower case, and content."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the content as JSON.

        Raises:
            Unavailable: it is not JSON, for instance the answer of a proxy.
        """
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise Unavailable("GitHub's answer is not JSON; try again later") from error

    @property
    def message(self) -> str:
        """GitHub's reason for a refusal."""
        try:
            said = json.loads(self.content)
        except (ValueError, RecursionError):
            return ""
        if not isinstance(said, dict):
            return ""
        parts = [said.get("message")]
        errors = said.get("errors")
        parts += [
            each.get("message") if isinstance(each, dict) else each
            for each in (errors if isinstance(errors, list) else [])
        ]
        return "; ".join(part for part in parts if isinstance(part, str) and part)[:500]


class Transport:
    """Connections to the API, which stay open between requests."""

    def __init__(self, api_url: str, token: str) -> None:
        self._origin = _origin(api_url)
        self._token = token
        self._client: httpx.Client | None = None

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def is_own(self, url: str) -> bool:
        """Return whether an address has the API's own origin; only that origin gets the token."""
        try:
            return _origin(url) == self._origin
        except ValueError:
            return False

    def send(self, request: Request) -> Answer | str:
        """Send a request once; return the answer, or the kind of failure if no answer came.

        Raises:
            SetupInvalid: the answer is larger than the request allows.
        """
        import httpx

        if self._client is None:
            self._client = httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False)
        try:
            with self._client.stream(
                request.method,
                request.url,
                params=dict(request.parameters) or None,
                json=request.body,
                headers=self._headers(request.url),
            ) as response:
                # GitHub or a proxy may echo the token; no message must repeat it.
                content = _read(response, request).replace(self._token.encode(), b"***")
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status_code, headers, content)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            return type(error).__name__

    def _headers(self, url: str) -> dict[str, str]:
        headers = {"user-agent": f"rollout-reconciler/{__version__}"}
        if self.is_own(url):
            headers |= {
                "accept": "application/vnd.github+json",
                "authorization": f"Bearer {self._token}",
                "x-github-api-version": API_VERSION,
            }
        return headers


def _read(response: "httpx.Response", request: Request) -> bytes:
    content = bytearray()
    for piece in response.iter_bytes():
        content += piece
        if len(content) > request.most:
            raise SetupInvalid(f"GitHub's answer to {request.name} is over {request.most:,} bytes")
    return bytes(content)


def is_confidential(url: str) -> bool:
    """Return whether an address is encrypted (https) or on this machine."""
    try:
        parts = urlsplit(url)
        scheme, host, _ = _origin(url)
    except ValueError:
        return False
    is_local = scheme == "http" and host in _LOOPBACK
    return bool(host) and not parts.username and (scheme == "https" or is_local)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port of an address.

    Raises:
        ValueError: the text is not an address.
    """
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
