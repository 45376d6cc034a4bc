"""Serving the dashboard until a signal ends it."""

import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import uvicorn

from reconciler.dashboard.acts import Acting
from reconciler.dashboard.application import make_application
from reconciler.errors import SetupInvalid
from reconciler.listen_address import ListenAddress

if TYPE_CHECKING:
    from reconciler.database.transactions import Database

GRACE_SECONDS: Final = 2
"""How long it waits at the end for open requests."""
_MAX_HEADER_BYTES: Final = 16_384


def serve(
    database: "Database",
    acting: Acting,
    address: ListenAddress,
    announce: Callable[[ListenAddress], None],
) -> signal.Signals:
    """Serve the dashboard; return the signal that ended it.

    Args:
        database: the rollout's database.
        acting: who acts, and what follows an act.
        address: the address to listen on; a loopback address.
        announce: called with the address on which it listens.

    Raises:
        SetupInvalid: no server can listen there, or others could reach it.
    """
    if not address.is_loopback:
        raise SetupInvalid(
            f"--listen {address} can be reached by others, and the dashboard has no sign-in; "
            "use a loopback address, such as 127.0.0.1:8017"
        )
    server = uvicorn.Server(
        uvicorn.Config(
            make_application(database, acting),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    ended_by: list[signal.Signals] = []

    def end(number: int, _frame: object) -> None:
        ended_by.append(signal.Signals(number))
        server.should_exit = True

    with _listener(address) as listener:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, end)
        announce(ListenAddress(address.host, listener.getsockname()[1]))
        server.run(sockets=[listener])
    return ended_by[0]


def _listener(address: ListenAddress) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or "the host's name cannot be read"
        why = said.partition(" (while")[0]
        raise SetupInvalid(f"cannot listen on {address}: {why}; name another address") from None
