"""The answers about one feature: each is decided when it is first asked for, and then kept."""

from typing import Final
from uuid import UUID

from rollout_client.state import State
from rollout_client.targeting.buckets import bucket_of
from rollout_client.targeting.eligibility import sha256_limit_of_unlisted

_MOST_KEPT: Final = 20_000


class Answers(dict[str | UUID, bool]):
    """Answers by one state, by the repository as it was asked for.

    `answers[repository]` decides a missing one.

    Raises:
        KeyError: The repository is unknown; such an answer is not kept.
    """

    __slots__ = ("_feature", "_has_names", "_limit", "_listed", "_place", "_prefix", "_state")

    def __init__(self, state: State, feature: str) -> None:
        """`feature` is one of the newest features of the state."""
        super().__init__()
        self._state = state
        self._feature = feature
        self._place = state.repositories.place
        newest = state.newest[feature]
        self._prefix = newest.targeting.prefix
        self._listed = newest.targeting.listed
        self._has_names = any("/" in key for key in self._listed)
        # While the two moments of the state have different versions of the feature, both decide.
        self._limit = (
            sha256_limit_of_unlisted(feature, newest.targeting, state.environment)
            if newest is state.whole.get(feature)
            else None
        )

    def __missing__(self, asked: str | UUID) -> bool:
        place = self._place(asked)
        eligible = None
        if place is not None and self._limit is not None:
            page, row, id_ = place
            keys = page.keys(row, id_) if self._has_names else (id_,)
            if self._listed.isdisjoint(keys):
                # So it is for most repositories, and nothing else about them has to be read.
                eligible = bucket_of(self._prefix, id_.encode()) < self._limit
        if eligible is None:
            found = self._state.repositories.find(asked)
            if found is None:
                raise KeyError(asked)
            eligible = self._state.is_eligible(found, self._feature)
        if len(self) >= _MOST_KEPT:
            self.clear()
        self[asked] = eligible
        return eligible
