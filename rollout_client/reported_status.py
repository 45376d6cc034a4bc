"""The status of a client, read from its parts."""

from datetime import timedelta
from math import inf

from rollout_client.background import Background
from rollout_client.circuits import Circuits
from rollout_client.recorder import Recorder
from rollout_client.status import Status
from rollout_client.store import Store


def reported_status(
    store: Store, circuits: Circuits, recorder: Recorder, background: Background, now: float
) -> Status:
    """Return the state of a client by its parts; `now` is a time of the client's clock."""
    current = store.current
    age = now - current.state.confirmed_at
    return Status(
        age=None if age == inf else timedelta(seconds=age),
        is_stale=now >= current.deadline,
        repositories=len(current.state.repositories),
        features=tuple(sorted(current.state.newest)),
        circuits=circuits.not_closed(),
        waiting=recorder.waiting,
        dropped=recorder.dropped,
        refused=recorder.refused,
        failure=background.failure or recorder.failure,
        lost=recorder.lost,
    )
