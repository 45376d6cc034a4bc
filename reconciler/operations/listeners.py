"""How events reach the listeners: the log, the metrics, notifications. Each decides how to print an event."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.operations.events import Event

_log = logging.getLogger(__name__)

Listener = Callable[["Event"], None]
"""Receives each event; it is called from several threads."""
Emit = Callable[["Event"], None]
"""Hands an event to every listener."""


def emit_to(*listeners: Listener) -> Emit:
    """Return a function that hands each event to all listeners, in their order.

    A listener that raises stops neither the other listeners nor the operation: the log of this module
    gets one line.
    """

    def emit(event: "Event") -> None:
        for listener in listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - an operation does not depend on its listeners
                _log.warning(
                    "a listener failed at %s: %s", type(event).__name__, type(error).__name__
                )

    return emit


emit_to_no_listener: Emit = emit_to()
"""For a caller that needs no events."""
