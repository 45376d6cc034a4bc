"""Failed sign-ins by address: too many in a minute, and the address has to wait."""

import ipaddress
import time
from collections import OrderedDict
from threading import Lock
from typing import Final

MOST_FAILURES: Final = 10
PERIOD_SECONDS: Final = 60.0
_MOST_ADDRESSES: Final = 10_000
_NETWORK_OF_ONE_HOST: Final = 64
"""The bits of an IPv6 address that one machine cannot choose."""


class Attempts:
    """Counts failed attempts; the oldest addresses are forgotten if there are too many."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = Lock()

    def is_over_limit(self, host: str) -> bool:
        """Return whether an address has failed too often in the last minute."""
        with self._lock:
            return len(self._recent(_key(host))) >= MOST_FAILURES

    def note_failure(self, host: str) -> None:
        """Note a failed attempt of an address."""
        with self._lock:
            key = _key(host)
            self._failures[key] = [*self._recent(key), time.monotonic()]
            self._failures.move_to_end(key)
            if len(self._failures) > _MOST_ADDRESSES:
                self._failures.popitem(last=False)

    def _recent(self, key: str) -> list[float]:
        since = time.monotonic() - PERIOD_SECONDS
        return [at for at in self._failures.get(key, ()) if at > since]


def _key(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4 or address.ipv4_mapped is not None:  # noqa: PLR2004 - the version's name
        return str(address)
    return str(ipaddress.ip_network((address, _NETWORK_OF_ONE_HOST), strict=False))
