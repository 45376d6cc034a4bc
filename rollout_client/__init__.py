"""The client: a service asks, in its own process, whether a repository gets a feature.

`RolloutClient` decides from memory, which threads keep up to date with the database. Nothing here is imported
before it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rollout_client.async_client import AsyncRolloutClient
    from rollout_client.circuits import CircuitSettings, CircuitState
    from rollout_client.client import RolloutClient
    from rollout_client.route import Job, JobRule, Load, Route, Routing
    from rollout_client.state import Answer, ClientRule
    from rollout_client.status import Status

__all__ = [
    "Answer",
    "AsyncRolloutClient",
    "CircuitSettings",
    "CircuitState",
    "ClientRule",
    "Job",
    "JobRule",
    "Load",
    "RolloutClient",
    "Route",
    "Routing",
    "Status",
]

_MODULES = {
    "Answer": "state",
    "AsyncRolloutClient": "async_client",
    "CircuitSettings": "circuits",
    "CircuitState": "circuits",
    "ClientRule": "state",
    "Job": "route",
    "JobRule": "route",
    "Load": "route",
    "RolloutClient": "client",
    "Route": "route",
    "Routing": "route",
    "Status": "status",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
