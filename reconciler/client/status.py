"""The state of a client, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from reconciler.client.circuits import CircuitState


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a client."""

    age: timedelta | None
    """Time since the database last confirmed all that is known; None where nothing is known yet."""
    is_stale: bool
    repositories: int
    features: tuple[str, ...]
    circuits: Mapping[str, CircuitState]
    """Features whose circuit is not closed, with its state."""
    waiting: int
    """Outcomes not written yet."""
    dropped: int
    """Outcomes lost to a full queue, or at the end to a database that did not answer."""
    refused: int
    """Outcomes that the database did not take, as of a feature or repository that it does not have."""
    failure: str | None
    """What keeps the database from being read or written, in a line; None while it is."""
    lost: int = 0
    """Outcomes of forked processes that ended before they wrote them; the client was made before the fork."""
