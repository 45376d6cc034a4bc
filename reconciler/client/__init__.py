"""The client under its first name: each object is the one of `rollout_client`."""

from typing import TYPE_CHECKING, Any

import rollout_client
from rollout_client import __all__ as __all__

if TYPE_CHECKING:
    from rollout_client import Answer as Answer
    from rollout_client import AsyncRolloutClient as AsyncRolloutClient
    from rollout_client import CircuitSettings as CircuitSettings
    from rollout_client import CircuitState as CircuitState
    from rollout_client import ClientRule as ClientRule
    from rollout_client import Job as Job
    from rollout_client import JobRule as JobRule
    from rollout_client import RolloutClient as RolloutClient
    from rollout_client import Route as Route
    from rollout_client import Routing as Routing
    from rollout_client import Status as Status


def __getattr__(name: str) -> Any:
    # On first use, as there.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(rollout_client, name)
