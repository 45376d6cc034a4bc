"""The address that a server listens on, as HOST:PORT."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Self

_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/@\s]+)):([0-9]{1,5})")
_LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """An address to listen on; port 0 is any free port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address in a text `host:port`, an IPv6 host in brackets.

        Raises:
            ValueError: it is not an address; the message has the right form.
        """
        found = _ADDRESS.fullmatch(text)
        if found is None or int(found[3]) > _LAST_PORT:
            raise ValueError(f"{text!r} is not an address; write host:port, such as 127.0.0.1:9464")
        return cls(found[1] or found[2], int(found[3]))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Return whether a host, a name or an address without brackets, is a loopback address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_of(header: str) -> str:
    """Return the host of a Host header, without its port and without brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]
