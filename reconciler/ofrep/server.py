"""Serving the application until a signal ends it; open requests are answered first."""

import signal
from collections.abc import Callable, Sequence
from typing import Final

from reconciler.http_server import serve_until_signal
from reconciler.invalid_requests import InvalidRequests
from reconciler.listen_address import ListenAddress
from reconciler.ofrep.access import Access
from reconciler.ofrep.application import make_application
from reconciler.ofrep.observation import Answered
from reconciler.ofrep.protocol import BoundedProtocol
from rollout_client.client import RolloutClient

GRACE_SECONDS: Final = 5
"""How long it waits at the end for open requests."""


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

    def start(listening: ListenAddress) -> None:
        client.start()
        announce(listening)

    return serve_until_signal(
        make_application(client, access, cors_origins=cors_origins, on_answered=on_answered),
        address,
        start,
        protocol=_noting(invalid_requests),
        grace_seconds=GRACE_SECONDS,
    )


def _noting(invalid: InvalidRequests) -> type[BoundedProtocol]:
    class Protocol(BoundedProtocol):
        invalid_requests = invalid

    return Protocol
