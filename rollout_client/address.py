"""The address of a client's database: fixed, or returned by a function before each connection.

A function is for passwords that rotate, and for servers that move.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from rollout_client.arguments import checked_url
from rollout_client.database_address import DatabaseAddress, primary_only


class Address(Protocol):
    """The part of an address that a connection needs."""

    @property
    def parameters(self) -> Mapping[str, str]:
        """Keywords and values for libpq."""

    def describe(self) -> str:
        """Return host, port, database and user, for a message."""

    def without_secrets(self, text: str) -> str:
        """Return a text with the secrets of the address starred out."""


class AskedAddress:
    """An address that a function returns before each connection."""

    def __init__(self, ask: Callable[[], str]) -> None:
        self._ask = ask
        self._latest = _of_primary(ask())

    @property
    def parameters(self) -> Mapping[str, str]:
        """Return keywords and values for libpq, as the function returns them now."""
        self._latest = _of_primary(self._ask())
        return self._latest.parameters

    def describe(self) -> str:
        """Return host, port, database and user of the latest address, for a message."""
        return self._latest.describe()

    def without_secrets(self, text: str) -> str:
        """Return a text with the secrets of the latest address starred out."""
        return self._latest.without_secrets(text)


def address_of(database_url: str | Callable[[], str]) -> Address:
    """Return the address of a URL, or of a function that returns one; no replica answers there.

    Raises:
        SetupInvalid: The URL cannot be read.
        ValueError: It is not a text.
    """
    if callable(database_url):
        return AskedAddress(database_url)
    return _of_primary(database_url)


def _of_primary(url: str) -> DatabaseAddress:
    address = DatabaseAddress.parse(checked_url(url))
    return replace(address, parameters=primary_only(address.parameters))
