"""A client belongs to its process: pickle and copy refuse it, and say what to do."""

import copy
import pickle
from collections.abc import Callable

import pytest

from rollout_client import AsyncRolloutClient, RolloutClient
from rollout_client.openfeature import RolloutProvider
from rollout_client.testing import FakeRolloutClient

OBJECTS: dict[str, Callable[[], object]] = {
    "client": lambda: RolloutClient("postgresql:///somewhere"),
    "asynchronous client": lambda: AsyncRolloutClient(RolloutClient("postgresql:///somewhere")),
    "provider": lambda: RolloutProvider(RolloutClient("postgresql:///somewhere")),
    "fake": lambda: FakeRolloutClient({"f": ["acme/*"]}),
}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("way", [pickle.dumps, copy.deepcopy])
def test_it_is_refused_with_the_line_to_do(name: str, way: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match=r"RolloutClient has .* make one in each process"):
        way(OBJECTS[name]())
