"""HTTP requests to targets: one try each, bounded in time and size, to addresses that are allowed.

A rollout file comes from pull requests, but addresses come from the environment of the operator. A
name may also resolve to an address inside the operator's network: such an address needs a
permission.
"""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

import httpx

from reconciler._version import __version__
from reconciler.errors import SetupInvalid
from reconciler.notifications.outcome import Outcome, Result, outcome_of_status
from reconciler.planning.notifications import ANSWER_SECONDS
from reconciler.rollout_file.characters import one_line

ALLOW_PRIVATE: Final = "ROLLOUT_NOTIFY_ALLOW_PRIVATE"
MAX_ANSWER_BYTES: Final = 65_536
MAX_ANSWER_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Post:
    """One POST request."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def send(post: Post, *, allows_private: bool) -> Outcome:
    """Send a request once; return the outcome.

    Raises:
        SetupInvalid: the address may not be used.
    """
    scheme, host, port = _parts(post.url, allows_private=allows_private)
    try:
        addresses = _resolve(host, port)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "the name is invalid"
        return Outcome(Result.AGAIN, f"{host} cannot be resolved: {why}")
    if not allows_private:
        _require_public(host, addresses)
    try:
        return asyncio.run(_send(post, scheme, host, addresses))
    except TimeoutError:
        return Outcome(Result.AGAIN, f"no answer within {ANSWER_SECONDS:g} seconds")
    except httpx.HTTPError as error:
        return Outcome(Result.AGAIN, f"no answer: {type(error).__name__}")


async def _send(post: Post, scheme: str, host: str, addresses: list[str]) -> Outcome:
    # One limit for the whole try: a receiver that sends a byte at a time does not extend it.
    async with asyncio.timeout(ANSWER_SECONDS):
        async with httpx.AsyncClient(
            timeout=ANSWER_SECONDS, follow_redirects=False, trust_env=False
        ) as client:
            *others, last = addresses
            for address in others:
                try:
                    return await _send_to(client, post, scheme, host, address)
                except httpx.ConnectError:
                    continue
            return await _send_to(client, post, scheme, host, last)


async def _send_to(
    client: httpx.AsyncClient, post: Post, scheme: str, host: str, address: str
) -> Outcome:
    # The checked address is the one that is connected to: a second look-up could find another one.
    url = httpx.URL(post.url).copy_with(host=address)
    request = client.build_request(
        "POST",
        url,
        content=post.body,
        headers={
            "content-type": "application/json",
            "user-agent": f"rollout-reconciler/{__version__}",
            "host": httpx.URL(post.url).netloc.decode("ascii"),
            **post.headers,
        },
        extensions={"sni_hostname": host} if scheme == "https" else None,
    )
    response = await client.send(request, stream=True)
    try:
        content = bytearray()
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > MAX_ANSWER_BYTES:
                break
    finally:
        await response.aclose()
    text = one_line(content.decode(errors="replace"), MAX_ANSWER_SHOWN) if content else ""
    return outcome_of_status(
        response.status_code, text, _retry_after(response.headers.get("retry-after"))
    )


def _parts(url: str, *, allows_private: bool) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in {"https", "http"} or not host or not url.isascii() or not url.isprintable():
        raise SetupInvalid("the address of the target does not begin with https://")
    if scheme == "http" and not allows_private:
        raise SetupInvalid(
            f"the address of the target is not encrypted; use https, or set {ALLOW_PRIVATE}=true"
        )
    return scheme, host, port or (443 if scheme == "https" else 80)


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _require_public(host: str, addresses: list[str]) -> None:
    for address in addresses:
        if not is_public(ip_address(address.partition("%")[0])):
            raise SetupInvalid(
                f"{host} is an address of a private network; to allow it, set {ALLOW_PRIVATE}=true"
            )


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address belongs to the public internet."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a `Retry-After`, which is a number of seconds or a date."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip()[:9])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
