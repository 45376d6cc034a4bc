"""Serving the application until a signal ends it; open requests are answered first."""

import signal
import socket
from collections.abc import Callable, Sequence
from typing import Final

import uvicorn

from reconciler.errors import SetupInvalid
from reconciler.invalid_requests import InvalidRequests
from reconciler.listen_address import ListenAddress
from reconciler.ofrep.access import Access
from reconciler.ofrep.application import make_application
from reconciler.ofrep.observation import Answered
from reconciler.ofrep.protocol import BoundedProtocol
from rollout_client.client import RolloutClient

GRACE_SECONDS: Final = 5
"""How long it waits at the end for open requests."""
_MAX_HEADER_BYTES: Final = 16_384


def serve(
    client: RolloutClient,
    address: ListenAddress,
    access: Access,
    announce: Callable[[ListenAddress], None],
    invalid_requests: InvalidRequests,
    *,
    cors_origins: Sequence[str] = (),
    on_answered: Callable[[Answered], None] | None = None,
) -> signal.Signals:
    """Start the client and serve; return the signal that ended it.

    `announce` is called with the address on which it listens. `invalid_requests` counts requests that
    cannot be read.

    Raises:
        SetupInvalid: no server can listen there.
    """
    server = uvicorn.Server(
        uvicorn.Config(
            make_application(client, access, cors_origins=cors_origins, on_answered=on_answered),
            loop="asyncio",
            http=_noting(invalid_requests),
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
        # Before the server handles signals itself, or as it passes on the signal that ended it.
        ended_by.append(signal.Signals(number))
        server.should_exit = True

    with _listener(address) as listener:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, end)
        client.start()
        announce(ListenAddress(address.host, listener.getsockname()[1]))
        server.run(sockets=[listener])
    return ended_by[0]


def _noting(invalid: InvalidRequests) -> type[BoundedProtocol]:
    class Protocol(BoundedProtocol):
        invalid_requests = invalid

    return Protocol


def _listener(address: ListenAddress) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or "the host's name cannot be read"
        why = said.partition(" (while")[0]
        raise SetupInvalid(f"cannot listen on {address}: {why}; name another address") from None
