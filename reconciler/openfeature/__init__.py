"""The OpenFeature provider under its first name."""

from typing import TYPE_CHECKING, Any

import rollout_client.openfeature
from rollout_client.openfeature import __all__ as __all__

if TYPE_CHECKING:
    from rollout_client.openfeature import RolloutProvider as RolloutProvider


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(rollout_client.openfeature, name)
