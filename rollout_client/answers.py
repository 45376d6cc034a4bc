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
        KeyError: The repository is unknown, and a known one could be eligible; such an answer is not kept.
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
        eligible = self._of_unlisted(asked)
        if eligible is None:
            found = self._state.repositories.find(asked)
            if found is None:
                raise KeyError(asked)
            eligible = self._state.is_eligible(found, self._feature)
        if len(self) >= _MOST_KEPT:
            self.clear()
        self[asked] = eligible
        return eligible

    def _of_unlisted(self, asked: str | UUID) -> bool | None:
        """Return the answer for the id of a repository in neither list; None if more facts decide."""
        id_ = asked.lower() if isinstance(asked, str) else str(asked)
        if self._limit is None or "/" in id_ or id_ in self._listed:
            return None
        is_below = bucket_of(self._prefix, id_.encode("utf-8", "replace")) < self._limit
        if not is_below and not self._has_names:
            # The answer is no for a known repository and for an unknown one, so the search is not needed.
            return False
        place = self._place(asked)
        if place is None:
            return None
        page, row, id_ = place
        is_listed = self._has_names and not self._listed.isdisjoint(page.keys(row, id_))
        return None if is_listed else is_below
