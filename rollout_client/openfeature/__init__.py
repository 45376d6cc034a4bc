"""OpenFeature: features as boolean flags, decided by the client.

`RolloutProvider` is for the SDK (extra `openfeature`). `evaluation` has a flag's value and reason in
OpenFeature's words, and needs no SDK.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rollout_client.openfeature.provider import RolloutProvider

__all__ = ["RolloutProvider"]


def __getattr__(name: str) -> Any:
    if name != "RolloutProvider":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rollout_client.openfeature.provider import RolloutProvider

    return RolloutProvider
