"""Serving an application on one address until a signal ends it; open requests are answered first."""

import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import uvicorn

from reconciler.errors import SetupInvalid
from reconciler.listen_address import ListenAddress

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp

_MAX_HEADER_BYTES: Final = 16_384


def serve_until_signal(
    application: "ASGIApp",
    address: ListenAddress,
    on_listening: Callable[[ListenAddress], None],
    *,
    protocol: "type[asyncio.Protocol] | str" = "h11",
    grace_seconds: int,
    on_ending: Callable[[], None] | None = None,
) -> signal.Signals:
    """Serve an application; return the signal that ended it.

    Args:
        application: the application.
        address: the address to listen on; port 0 takes a free one.
        on_listening: called with the address on which it listens, before the first request.
        protocol: how requests are read, as uvicorn's setting `http`.
        grace_seconds: how long it waits at the end for open requests.
        on_ending: called at the end, before it waits for open requests.

    Raises:
        SetupInvalid: no server can listen there.
    """
    server = _Server(
        uvicorn.Config(
            application,
            loop="asyncio",
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
            timeout_graceful_shutdown=grace_seconds,
        )
    )
    server.on_ending = on_ending
    ended_by: list[signal.Signals] = []

    def end(number: int, _frame: object) -> None:
        # Before the server handles signals itself, or as it passes on the signal that ended it.
        ended_by.append(signal.Signals(number))
        server.should_exit = True

    with _listener(address) as listener:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, end)
        on_listening(ListenAddress(address.host, listener.getsockname()[1]))
        server.run(sockets=[listener])
    return ended_by[0]


class _Server(uvicorn.Server):
    on_ending: Callable[[], None] | None = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.on_ending is not None:
            self.on_ending()
        await super().shutdown(sockets)


def _listener(address: ListenAddress) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or "the host's name cannot be read"
        why = said.partition(" (while")[0]
        raise SetupInvalid(f"cannot listen on {address}: {why}; name another address") from None
