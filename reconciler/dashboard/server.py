"""Serving the dashboard until a signal ends it."""

import signal
from collections.abc import Callable
from typing import Final

from reconciler.dashboard.application import Dashboard, make_application
from reconciler.errors import SetupInvalid
from reconciler.http_server import serve_until_signal
from reconciler.listen_address import ListenAddress

GRACE_SECONDS: Final = 1
"""How long it waits at the end for open requests."""


def serve(
    dashboard: Dashboard, address: ListenAddress, announce: Callable[[ListenAddress], None]
) -> signal.Signals:
    """Serve a dashboard; return the signal that ended it.

    Args:
        dashboard: the dashboard.
        address: the address to listen on; without a sign-in, a loopback address.
        announce: called with the address on which it listens.

    Raises:
        SetupInvalid: no server can listen there, or others could reach it.
    """
    if dashboard.is_local and not address.is_loopback:
        raise SetupInvalid(
            f"--listen {address} can be reached by others, and the dashboard has no sign-in; "
            "use a loopback address, such as 127.0.0.1:8017, or give --auth token, proxy or oidc"
        )
    return serve_until_signal(
        make_application(dashboard),
        address,
        announce,
        grace_seconds=GRACE_SECONDS,
        on_ending=dashboard.listener.end,
    )
