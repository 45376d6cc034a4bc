"""The client: a service asks, in process, who gets a feature.

`RolloutClient` decides from memory, which threads keep up to date with the database. Nothing here is imported
before it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.client.asynchronous import AsyncRolloutClient
    from reconciler.client.circuits import CircuitSettings, CircuitState
    from reconciler.client.client import RolloutClient
    from reconciler.client.routing import Job, JobRule, Route, Routing
    from reconciler.client.state import Answer, ClientRule
    from reconciler.client.status import Status

__all__ = [
    "Answer",
    "AsyncRolloutClient",
    "CircuitSettings",
    "CircuitState",
    "ClientRule",
    "Job",
    "JobRule",
    "RolloutClient",
    "Route",
    "Routing",
    "Status",
]

_MODULES = {
    "Answer": "state",
    "AsyncRolloutClient": "asynchronous",
    "CircuitSettings": "circuits",
    "CircuitState": "circuits",
    "ClientRule": "state",
    "Job": "routing",
    "JobRule": "routing",
    "RolloutClient": "client",
    "Route": "routing",
    "Routing": "routing",
    "Status": "status",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
