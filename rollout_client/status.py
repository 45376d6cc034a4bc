"""The state of a client, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from rollout_client.circuits import CircuitState


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a client."""

    age: timedelta | None
    """Time since the database last confirmed all data; None if there is no data yet."""
    is_stale: bool
    repositories: int
    features: tuple[str, ...]
    circuits: Mapping[str, CircuitState]
    """Features with a circuit that is not closed, each with its state."""
    waiting: int
    """Outcomes not written yet."""
    dropped: int
    """Outcomes lost to a full queue, or at the end to a database that did not answer."""
    refused: int
    """Outcomes that the database refused, for example of a deleted feature or repository."""
    failure: str | None
    """The reason why the database cannot be read or written, in a line; None while it can."""
    lost: int = 0
    """Outcomes of forked processes that ended before they wrote them; the client was made before the fork."""
