"""The version of both distributions."""

from rollout_client._version import __version__

__all__ = ["__version__"]
