"""The client: a service asks, in process, who gets a feature.

A decision reads memory alone. What is in memory is kept up to date in the background, and is trusted for
`max_staleness` after the database last confirmed it; then everything is a no.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from math import inf
from types import TracebackType
from typing import Final, Self
from uuid import UUID
from weakref import WeakSet

from reconciler.client.following import Follower, Following
from reconciler.client.state import Answer, State
from reconciler.client.store import Current, Store
from reconciler.database.address import DatabaseAddress
from reconciler.targeting.environment import EnvironmentOverride

MAX_STALENESS: Final = timedelta(minutes=5)
POLL_EVERY: Final = timedelta(seconds=5)
START_TIMEOUT: Final = timedelta(seconds=5)
_ANSWERS_KEPT_PER_FEATURE: Final = 20_000
_POLLS_WITHIN_STALENESS: Final = 4
_STOP_TIMEOUT_SECONDS: Final = 5.0

# Where the system has it, the clock that goes on while the machine sleeps: knowledge ages then too.
_CLOCK: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)


@dataclass(frozen=True, slots=True)
class Status:
    """How a client does."""

    age: timedelta | None
    """Since the database last confirmed all that is known; None where nothing is known yet."""
    is_stale: bool
    repositories: int
    features: tuple[str, ...]
    failure: str | None
    """What keeps the database from being read, in a line; None while all is well."""


class RolloutClient:
    """Decides from memory; safe to use from any thread, and across a fork.

    Making one connects to nothing. It begins to follow the database when it is entered, started or first
    asked; until the first load is there, the answer is no, and the reason `stale`. A forked child follows
    for itself from its first question on.

    Args:
        database_url: where the database is; role `rollout_worker` is enough.
        features: the features to follow; None is all. Any other is unknown.
        max_staleness: how long an answer counts after the database last confirmed what it is made from.
        poll_every: how often to look where no notification comes, as behind a transaction pooler.
        start_timeout: how long entering waits for the first load.
        on_change: called in a background thread with the features whose answers may be others now.
        clock: seconds that never go back.

    Raises:
        SetupInvalid: The URL can't be read.
        ValueError: A time is not above zero.
    """

    def __init__(
        self,
        database_url: str,
        features: Iterable[str] | None = None,
        *,
        max_staleness: timedelta = MAX_STALENESS,
        poll_every: timedelta = POLL_EVERY,
        start_timeout: timedelta = START_TIMEOUT,
        on_change: Callable[[frozenset[str]], None] | None = None,
        clock: Callable[[], float] = _CLOCK,
    ) -> None:
        if min(max_staleness, poll_every, start_timeout) <= timedelta(0):
            raise ValueError("max_staleness, poll_every and start_timeout have to be above zero")
        staleness = max_staleness.total_seconds()
        most = staleness / _POLLS_WITHIN_STALENESS
        self._following = Following(
            address=DatabaseAddress.parse(database_url),
            features=None if features is None else frozenset(features),
            poll_every=min(poll_every.total_seconds(), most),
            whole_every=most,
            clock=clock,
        )
        self._clock = clock
        self._start_timeout = start_timeout.total_seconds()
        self._store = Store(
            State(environment=EnvironmentOverride.parse(os.environ)),
            staleness,
            on_change or _ignore,
        )
        self._lock = threading.Lock()
        self._follower: Follower | None = None
        self._is_closed = False
        _CLIENTS.add(self)

    def is_eligible(self, repository: str | UUID, feature: str) -> bool:
        """Tell whether a repository, by its id or `owner/name`, gets a feature."""
        current = self._store.current
        if self._clock() < current.deadline:
            try:
                return current.answers[feature][repository]
            except KeyError:
                pass
        return self._decide(current, repository, feature)

    def explain(self, repository: str | UUID, feature: str) -> Answer:
        """Return the answer of `is_eligible` with the rule that gave it."""
        self.start()
        current = self._store.current
        now = self._clock()
        if now >= current.deadline:
            return current.state.explain_stale(feature, now - current.state.confirmed_at)
        return current.state.explain(current.state.repositories.find(repository), feature)

    def eligible(self, feature: str) -> Iterator[str]:
        """Yield the ids of all repositories that get a feature, by what is known at the first one.

        Ends early where that grows stale meanwhile.
        """
        self.start()
        current = self._store.current
        for repository in current.state.repositories:
            if self._clock() >= current.deadline:
                return
            if current.state.is_eligible(repository, feature):
                yield repository.id

    def status(self) -> Status:
        """Return how the client does."""
        current, now, follower = self._store.current, self._clock(), self._follower
        age = now - current.state.confirmed_at
        return Status(
            age=None if age == inf else timedelta(seconds=age),
            is_stale=now >= current.deadline,
            repositories=len(current.state.repositories),
            features=tuple(sorted(current.state.newest)),
            failure=None if follower is None else follower.failure,
        )

    def start(self) -> None:
        """Begin to follow the database in the background, where that has not begun."""
        if self._follower is None and not self._is_closed:
            with self._lock:
                if self._follower is None and not self._is_closed:
                    self._follower = Follower(self._following, self._store)
                    self._follower.start()

    def wait_until_ready(self, timeout: timedelta = START_TIMEOUT) -> bool:
        """Start, and wait until something is known; False where that takes longer."""
        self.start()
        return self._store.loaded.wait(timeout.total_seconds())

    def close(self) -> None:
        """Stop following. What was known last is answered until it is stale."""
        with self._lock:
            self._is_closed = True
            follower, self._follower = self._follower, None
        if follower is not None:
            follower.stop(_STOP_TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        self.wait_until_ready(timedelta(seconds=self._start_timeout))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _decide(self, current: Current, repository: str | UUID, feature: str) -> bool:
        """Decide what was not answered before, and keep the answer for a repository that is known."""
        if self._follower is None:
            self.start()
        if self._clock() >= current.deadline:
            return False
        found = current.state.repositories.find(repository)
        eligible = current.state.is_eligible(found, feature)
        kept = current.answers.get(feature)
        if kept is None:
            return eligible
        if found is None:
            self._note_unknown()
            return eligible
        if len(kept) >= _ANSWERS_KEPT_PER_FEATURE:
            kept.clear()
        kept[repository] = eligible
        return eligible

    def _begin_again(self) -> None:
        """In a forked child: what is known stays, what runs in the parent is the parent's."""
        self._lock = threading.Lock()
        follower, self._follower = self._follower, None
        self._store.begin_again()
        if follower is not None:
            follower.leave_to_parent()
            _LEFT_TO_PARENTS.append(follower)

    def _note_unknown(self) -> None:
        """Have repositories read again soon: this one may be new."""
        follower = self._follower
        if follower is not None:
            follower.want_unknown()


def _ignore(_features: frozenset[str]) -> None:
    pass


# The connections of a parent must not be closed in order by a child, so they are never let go of there.
_LEFT_TO_PARENTS: Final[list[Follower]] = []
_CLIENTS: Final[WeakSet[RolloutClient]] = WeakSet()


def _begin_again_in_child() -> None:
    for client in tuple(_CLIENTS):
        client._begin_again()  # noqa: SLF001 - this module's own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again_in_child)
