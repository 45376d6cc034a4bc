"""A Prometheus server: queries over HTTP, with a deadline and a limit for the size of an answer.

The token and the password are sent to this server only, and no message contains them.
"""

import re
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from threading import Thread
from typing import TYPE_CHECKING, Final, Self, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from reconciler.errors import SetupInvalid, Unavailable
from reconciler.prometheus.answers import Sample, in_one_line, read_samples

if TYPE_CHECKING:
    import httpx

DEADLINE_SECONDS: Final = 5.0
"""For all queries of one reading."""
MAX_BYTES: Final = 4 * 1024 * 1024

_PRINTABLE: Final = re.compile("[!-~]+")

Reading = TypeVar("Reading")
Ask = Callable[[str], tuple[Sample, ...]]
"""Sends one query; raises `Unavailable` if there is no valid answer."""


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    """The address and the credentials of a Prometheus server."""

    url: str
    """The address of its root, without credentials."""
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, token: str | None) -> Self:
        """Return the server at an address, which may contain a name and a password.

        Raises:
            SetupInvalid: it is not an http or https address, or there are two kinds of credentials.
        """
        if token is not None and not _PRINTABLE.fullmatch(token := token.strip()):
            raise SetupInvalid("PROMETHEUS_TOKEN is not a token: it is empty or has spaces")
        try:
            parts = urlsplit(url if _PRINTABLE.fullmatch(url) else "")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
            raise SetupInvalid(
                "the Prometheus URL is invalid; write an address such as https://prometheus.example.com:9090"
            )
        if token is not None and parts.username is not None:
            raise SetupInvalid(
                "the Prometheus URL has a user name, and PROMETHEUS_TOKEN is set; use one of them"
            )
        at = f"[{host}]" if ":" in host else host
        if port is not None:
            at = f"{at}:{port}"
        return cls(
            url=urlunsplit((parts.scheme, at, parts.path.rstrip("/"), "", "")),
            credentials=None
            if parts.username is None
            else (unquote(parts.username), unquote(parts.password or "")),
            token=token,
        )

    def read(self, at: datetime, reading: Callable[[Ask], Reading]) -> Reading:
        """Return the result of `reading`, whose queries are all evaluated at one moment.

        Raises:
            Unavailable: the server did not answer in time, or an answer is invalid.
        """
        # The lookup of a host name may take long, and no timeout of a socket limits it.
        future: Future[Reading] = Future()
        ends = time.monotonic() + DEADLINE_SECONDS

        def run() -> None:
            try:
                future.set_result(self._read(at, reading, ends))
            except BaseException as error:  # noqa: BLE001 - raised in the waiting thread
                future.set_exception(error)

        Thread(target=run, daemon=True, name="prometheus").start()
        try:
            return future.result(timeout=DEADLINE_SECONDS)
        except TimeoutError as error:
            raise self._failed(f"no answer within {DEADLINE_SECONDS:g} seconds") from error

    def _read(self, at: datetime, reading: Callable[[Ask], Reading], ends: float) -> Reading:
        import httpx

        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        with httpx.Client(
            auth=self.credentials,
            headers=headers,
            timeout=DEADLINE_SECONDS,
            follow_redirects=False,
        ) as client:

            def ask(query: str) -> tuple[Sample, ...]:
                parameters = {"query": query, "time": f"{at.timestamp():.3f}"}
                try:
                    with client.stream(
                        "GET", f"{self.url}/api/v1/query", params=parameters
                    ) as response:
                        content = _read_content(response, ends)
                    _require_answer(response)
                    return read_samples(content)
                except httpx.TimeoutException as error:
                    raise self._failed(f"no answer within {DEADLINE_SECONDS:g} seconds") from error
                except httpx.ConnectError as error:
                    raise self._failed(
                        f"it cannot be reached: {in_one_line(str(error))}"
                    ) from error
                except httpx.HTTPError as error:
                    raise self._failed("the answer ended early, or is not HTTP") from error
                except Unavailable as error:
                    raise self._failed(str(error)) from error

            return reading(ask)

    def _failed(self, reason: str) -> Unavailable:
        return Unavailable(f"Prometheus at {self.url}: {reason}")


def _read_content(response: "httpx.Response", ends: float) -> bytes:
    content = bytearray()
    for part in response.iter_raw():
        content += part
        if len(content) > MAX_BYTES:
            raise Unavailable(f"the answer is over {MAX_BYTES // 1024**2} MiB")
        if time.monotonic() > ends:
            raise Unavailable(f"no answer within {DEADLINE_SECONDS:g} seconds")
    return bytes(content)


def _require_answer(response: "httpx.Response") -> None:
    """Raise `Unavailable` unless the content is an answer of Prometheus; its error messages count."""
    match response.status_code:
        case 200 | 400 | 422:
            return
        case 401 | 403 as status:
            raise Unavailable(f"it rejects the credentials ({status}); set PROMETHEUS_TOKEN")
        case status if response.is_redirect:
            raise Unavailable(
                f"it redirects ({status}), and redirects are not followed; use the target address"
            )
        case status:
            raise Unavailable(f"it answers with status {status}")
