"""Serving the dashboard until a signal ends it."""

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from reconciler.dashboard.acts import Acting
from reconciler.dashboard.application import make_application
from reconciler.errors import SetupInvalid
from reconciler.http_server import serve_until_signal
from reconciler.listen_address import ListenAddress

if TYPE_CHECKING:
    from reconciler.database.transactions import Database

GRACE_SECONDS: Final = 2
"""How long it waits at the end for open requests."""


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
    return serve_until_signal(
        make_application(database, acting), address, announce, grace_seconds=GRACE_SECONDS
    )
