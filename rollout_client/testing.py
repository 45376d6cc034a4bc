"""A client for the tests of a service: the same interface and decisions, in memory alone.

client = FakeRolloutClient(eligible={"hybrid_progressive_capture": ["acme/*"]})
assert client.is_eligible("acme/site", "hybrid_progressive_capture")
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Self
from uuid import NAMESPACE_URL, UUID, uuid5

from rollout_client.arguments import Duration
from rollout_client.circuits import CircuitSettings
from rollout_client.client import RolloutClient
from rollout_client.outcome import Outcome
from rollout_client.reads import Feature
from rollout_client.repositories import Repositories, is_id
from rollout_client.route import Routing
from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import Repository, Targeting
from rollout_client.targeting.strategy import Strategy

_FOR_EVER: Final = 1e12


@dataclass(frozen=True, slots=True, eq=False)
class _AnyRepository(Repositories):
    """Knows every repository."""

    def find(self, asked: object) -> Repository | None:
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
        self.outcomes: list[Outcome] = []
        """The recorded outcomes, oldest first."""
        super().__init__(
            "postgresql:///fake",
            routing=routing,
            circuit=circuit or CircuitSettings(),
            clock=self._now,
        )
        self._background.stop(0)
        self.set_eligible(eligible)

    def set_eligible(self, eligible: Mapping[str, Iterable[str]]) -> None:
        """Replace the features and their repositories, as a change of the rollout would."""
        features = MappingProxyType(
            {name: _feature(name, repositories) for name, repositories in eligible.items()}
        )
        self._store.set_newest(features, _FOR_EVER)
        self._store.set_whole(features, _AnyRepository(), _FOR_EVER)

    def record(
        self,
        repository: str | UUID,
        feature: str,
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


def _feature(name: str, repositories: Iterable[str]) -> Feature:
    targeting = Targeting(
        active=True,
        emergency_stop=False,
        strategy=Strategy.WHITELIST,
        percentage=Decimal(0),
        salt=name,
        whitelist=frozenset(each.lower() for each in repositories),
    )
    return Feature(targeting, version=" ".join(sorted(targeting.whitelist)), updated_at=0.0)
