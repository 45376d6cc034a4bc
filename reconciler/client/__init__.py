"""The client: a service asks, in process, who gets a feature.

`RolloutClient` decides from memory, which threads keep up to date with the database. Nothing here is imported
before it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.client.client import RolloutClient, Status
    from reconciler.client.state import Answer, ClientRule

__all__ = ["Answer", "ClientRule", "RolloutClient", "Status"]

_MODULES = {
    "Answer": "state",
    "ClientRule": "state",
    "RolloutClient": "client",
    "Status": "client",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
