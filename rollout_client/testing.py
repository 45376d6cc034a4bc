"""A client for the tests of a service: the same interface and decisions, in memory alone.

client = FakeRolloutClient(eligible={"hybrid_progressive_capture": ["acme/*"]})
assert client.is_eligible("acme/site", "hybrid_progressive_capture")
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from importlib import import_module
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self
from uuid import NAMESPACE_URL, UUID, uuid5

from rollout_client.arguments import Duration
from rollout_client.circuits import CircuitSettings
from rollout_client.client import RolloutClient
from rollout_client.outcome import Outcome
from rollout_client.reads import Feature
from rollout_client.repositories import Repositories, is_id
from rollout_client.route import DEFAULT_ROUTING, Job, Load, Routing
from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import Repository, Targeting
from rollout_client.targeting.strategy import Strategy

__all__ = ["Category", "FakeRolloutClient", "Repository"]

_FOR_EVER: Final = 1e12
_NUMBERS: Final = count()
"""Of fakes: several for one address would look like a mistake."""


@dataclass(frozen=True, slots=True, eq=False)
class _AnyRepository(Repositories):
    """Knows every repository; the facts about some are given."""

    given: Mapping[str, Repository] = field(default_factory=dict)
    """By id and by `owner/name` in lower case."""
    test_keys: frozenset[str] = frozenset()
    """Ids, names and patterns of repositories that are marked as test."""

    def find(self, asked: object) -> Repository | None:
        found = self.given.get(str(asked).lower()) or _made_up(asked)
        if found is None or self.test_keys.isdisjoint(found.keys):
            return found
        return replace(found, marked_as_test=True)


def _made_up(asked: object) -> Repository | None:
    text = str(asked)
    if is_id(text):
        return Repository(text.lower(), "", Category.SMALL)
    if isinstance(asked, str) and "/" in asked:
        return Repository(str(uuid5(NAMESPACE_URL, asked.lower())), asked, Category.SMALL)
    return None


class FakeRolloutClient(RolloutClient):
    """A `RolloutClient` that has no database, thread or file.

    Args:
        eligible: for each feature the repositories that get it: ids, `owner/name` or `owner/*`. A feature
            that is not here is unknown.
        routing: as for `RolloutClient`.
        circuit: as for `RolloutClient`.
    """

    def __init__(
        self,
        eligible: Mapping[str, Iterable[str]],
        *,
        routing: Mapping[str, Routing] | None = None,
        circuit: CircuitSettings | None = None,
    ) -> None:
        self.now = 0.0
        """Seconds on the clock of its circuits; nothing becomes stale."""
        self._version = 0
        self.outcomes: list[Outcome] = []
        """The recorded outcomes, oldest first."""
        super().__init__(
            f"postgresql:///fake-{next(_NUMBERS)}",
            routing=routing,
            circuit=circuit or CircuitSettings(),
            clock=self._now,
        )
        self._background.stop(0)
        self._recorder.close(0)
        self.set_loads({})
        self.set_eligible(eligible)

    @classmethod
    def from_file(
        cls,
        path: Path | str,
        repositories: Iterable[Repository] = (),
        *,
        routing: Mapping[str, Routing] | None = None,
        circuit: CircuitSettings | None = None,
    ) -> Self:
        """Return a client that decides by a `rollout.yaml`, as services will after it is applied.

        Args:
            path: the file.
            repositories: repositories with the id and the category that the database has. Any other
                repository is small and has an id from its name, so a percentage selects others.
            routing: as for `RolloutClient`.
            circuit: as for `RolloutClient`.

        Raises:
            RuntimeError: The distribution `rollout-reconciler`, which reads the file, is not installed.
            ReconcilerError: The file is not valid.
        """
        try:
            reader = import_module("reconciler.client.file_features")
        except ModuleNotFoundError as error:
            if error.name != "reconciler":
                raise
            raise RuntimeError(
                "rollout-reconciler reads rollout.yaml: run pip install rollout-reconciler for the "
                "tests, or write FakeRolloutClient(eligible={...})"
            ) from None
        given = {key: each for each in repositories for key in each.keys if not key.endswith("/*")}
        read = reader.read_features(Path(path), given)
        client = cls({}, routing=routing, circuit=circuit)
        known = _AnyRepository(
            has_categories=any(each.needs_categories for each in read.routings.values()),
            given=given,
            test_keys=read.test_keys,
        )
        client.set_features(read.targetings, known, read.routings)
        client.set_loads({name: Load(limit, 0) for name, limit in read.limits.items()})
        return client

    def set_eligible(self, eligible: Mapping[str, Iterable[str]]) -> None:
        """Replace the features and their repositories, as a change of the rollout would."""
        self.set_features({name: _listed(name, some) for name, some in eligible.items()})

    def set_features(
        self,
        targetings: Mapping[str, Targeting],
        repositories: Repositories | None = None,
        routings: Mapping[str, Routing] = MappingProxyType({}),
    ) -> None:
        """Replace the features, and by default know every repository."""
        self._version += 1
        features = MappingProxyType(
            {
                name: Feature(
                    targeting,
                    version=str(self._version),
                    updated_at=0.0,
                    routing=routings.get(name, DEFAULT_ROUTING),
                )
                for name, targeting in targetings.items()
            }
        )
        self._store.set_newest(features, _FOR_EVER)
        known = _AnyRepository() if repositories is None else repositories
        self._store.set_whole(features, known, _FOR_EVER)

    def set_loads(self, loads: Mapping[str, Load]) -> None:
        """Replace the limits of processors and the running jobs of other processes.

        Jobs in `with client.job(...)` count in addition.
        """
        self._recorder.running.set_others(loads)

    def record(
        self,
        repository: str | UUID,
        feature: str | Job,
        processor: str,
        *,
        succeeded: bool,
        seconds: Duration | None = None,
        error: object = None,
        wait: bool = False,
    ) -> bool:
        """Check an outcome, count it in the circuit, and keep it in `outcomes`."""
        found = self._store.current.state.repositories.find(repository)
        outcome = Outcome.checked(
            feature,
            str(repository) if found is None else found.id,
            processor,
            succeeded=succeeded,
            seconds=seconds,
            error=error,
        )
        self._count_in_circuit(outcome)
        if found is not None:
            self.outcomes.append(outcome)
        self._store.observer.recorded(outcome, is_taken=found is not None)
        return found is not None

    def start(self) -> None:
        """Do nothing: everything is known."""

    def wait_until_ready(self, timeout: Duration = 0) -> bool:
        return True

    def flush(self, timeout: Duration = 0) -> bool:
        return True

    def close(self, timeout: Duration = 0) -> None:
        """Do nothing; what was recorded stays."""

    def __enter__(self) -> Self:
        return self

    def _now(self) -> float:
        return self.now


def _listed(name: str, repositories: Iterable[str]) -> Targeting:
    return Targeting(
        active=True,
        emergency_stop=False,
        strategy=Strategy.WHITELIST,
        percentage=Decimal(0),
        salt=name,
        whitelist=frozenset(each.lower() for each in repositories),
    )
