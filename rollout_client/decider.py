"""Decisions without a kept answer, from the current state."""

from collections.abc import Callable, Iterator
from math import inf
from uuid import UUID

from rollout_client.circuits import Circuits
from rollout_client.hints import FeatureHints
from rollout_client.state import Answer
from rollout_client.store import Current, Store


class Decider:
    """Decides by a store and the circuits of this process."""

    def __init__(
        self,
        store: Store,
        circuits: Circuits,
        followed: frozenset[str] | None,
        clock: Callable[[], float],
        want_unknown: Callable[[], None],
    ) -> None:
        """`want_unknown` is called for an unknown repository, which may be new."""
        self._store = store
        self._circuits = circuits
        self._followed = followed
        self._clock = clock
        self._want_unknown = want_unknown
        self._hints = FeatureHints()

    def is_eligible(self, current: Current, repository: str | UUID, feature: str) -> bool:
        """Decide by a state that is not stale, and keep the answer if the repository is known."""
        answers = current.answers.get(feature)
        if answers is None:
            self._note_unknown(current, feature)
            found = current.state.repositories.find(repository)
            eligible = current.state.is_eligible(found, feature)
            return eligible and (found is None or self._admits(current, found.id, feature))
        try:
            return answers[repository]
        except KeyError:
            self._want_unknown()
            return False

    def answer(self, repository: str | UUID, feature: str, *, routes_job: bool) -> Answer:
        """Return an answer with its rule; only an answer that routes a job may be a probe."""
        current = self._store.current
        state, now = current.state, self._clock()
        if now >= current.deadline:
            return state.explain_stale(feature, now - state.confirmed_at)
        self._note_unknown(current, feature)
        found = state.repositories.find(repository)
        if found is None and feature in state.newest:
            self._want_unknown()
        answer = state.explain(found, feature)
        if answer.eligible and found is not None and feature in current.broken:
            is_probe = routes_job and self._admits(current, found.id, feature)
            return answer if is_probe else state.explain_open_circuit(found, feature)
        return answer

    def eligible(self, feature: str) -> Iterator[str]:
        """Yield the ids of all repositories that get a feature; end early if the data becomes stale."""
        current = self._store.current
        if feature in current.broken:
            return
        for repository in current.state.repositories:
            if self._clock() >= current.deadline:
                return
            if current.state.is_eligible(repository, feature):
                yield repository.id

    def note_stale(self, current: Current) -> None:
        """Log one hint if the client is asked before anything was read."""
        if current.deadline == -inf:
            self._hints.note_asked_early()

    def _note_unknown(self, current: Current, feature: str) -> None:
        if feature not in current.state.newest:
            is_followed = self._followed is None or feature in self._followed
            self._hints.note_unknown(feature, current.state.newest, is_followed=is_followed)

    def _admits(self, current: Current, repository_id: str, feature: str) -> bool:
        return feature not in current.broken or self._circuits.admits(feature, repository_id)
