"""A client's data at one moment, and the decisions that follow from it.

A state is immutable: readers take one reference and need no lock. `targeting` decides.
This module adds the staleness of the data and the circuits of the process.

Features are read within milliseconds of a change, repositories less often, so the two may be of
different moments. So a yes needs two answers: one by the newest features, and one by the features
of the moment at which the repositories were read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from math import inf
from types import MappingProxyType

from rollout_client.reads import Feature, Features
from rollout_client.repositories import NO_REPOSITORIES, Repositories
from rollout_client.route import DEFAULT_ROUTING, Job, Load, Route, Routing
from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import (
    Repository,
    Rule,
    Targeting,
    is_eligible,
    percentage_in_force,
)
from rollout_client.targeting.environment import NO_OVERRIDE, EnvironmentOverride
from rollout_client.targeting.explanation import Decision, decide


class ClientRule(StrEnum):
    """The rules of a client in addition to those of targeting; each of them only gives a no."""

    STALE = "stale"
    """The database has not confirmed the data for too long, or nothing was read yet."""
    CIRCUIT_OPEN = "circuit_open"
    """Too many of the feature's jobs failed in this process."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a repository gets a feature, and the reason."""

    eligible: bool
    rule: Rule | ClientRule
    reason: str
    """A sentence."""
    bucket: int | None = None
    """From 0 to 9999; None if the feature or the repository is unknown."""
    category: Category | None = None
    """None if the repository is unknown, or no feature needs categories."""
    percentage: Decimal | None = None
    """The percentage in force; None if the feature is unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The client's data; times are of the client's own clock, in seconds."""

    newest: Features = field(default_factory=dict)
    """The features as last read, with every stop that was seen and not ended."""
    newest_at: float = -inf
    whole: Features = field(default_factory=dict)
    """The features at the moment at which the repositories were read."""
    repositories: Repositories = NO_REPOSITORIES
    whole_at: float = -inf
    stops: Mapping[str, float] = field(default_factory=dict)
    """Features that were seen stopped, with the time of their rows then."""
    environment: EnvironmentOverride = NO_OVERRIDE

    @property
    def confirmed_at(self) -> float:
        """The time at which the database last confirmed all data."""
        return min(self.newest_at, self.whole_at)

    @property
    def widened_since_whole(self) -> bool:
        """Whether an active feature changed since the last full read: more may be eligible now."""
        return any(
            feature is not self.whole.get(name)
            and feature.targeting.active
            and not feature.targeting.emergency_stop
            and feature.targeting != _targeting(self.whole.get(name))
            for name, feature in self.newest.items()
        )

    def with_newest(self, read: Features, at: float) -> "State":
        """Use features that were read without repositories.

        A row that is older than a seen stop is of a restored database: the stop stays until the row
        is written again.
        """
        stops = dict(self.stops)
        newest = {}
        for name, feature in _same_objects(read, self.whole).items():
            newest[name] = feature
            if feature.targeting.emergency_stop:
                stops[name] = max(feature.updated_at, stops.get(name, -inf))
            elif feature.updated_at < stops.get(name, -inf):
                newest[name] = _stopped(feature, self.newest.get(name))
            else:
                stops.pop(name, None)
        return replace(
            self,
            newest=MappingProxyType(newest),
            newest_at=max(at, self.newest_at),
            stops=MappingProxyType(stops),
        )

    def with_whole(self, features: Features, repositories: Repositories, at: float) -> "State":
        """Use a full read of one moment; a stop in it counts as seen."""
        whole = MappingProxyType(_same_objects(features, self.newest))
        stops = dict(self.stops)
        for name, feature in whole.items():
            if feature.targeting.emergency_stop:
                stops[name] = max(feature.updated_at, stops.get(name, -inf))
        return replace(
            self,
            whole=whole,
            repositories=repositories,
            whole_at=at,
            stops=MappingProxyType(stops),
        )

    def is_eligible(self, repository: Repository | None, feature: str) -> bool:
        """Return whether a repository gets a feature by this data, at any age."""
        newest = self.newest.get(feature)
        if not is_eligible(feature, _targeting(newest), repository, self.environment):
            return False
        whole = self.whole.get(feature)
        return whole is newest or is_eligible(
            feature, _targeting(whole), repository, self.environment
        )

    def explain(self, repository: Repository | None, feature: str) -> Answer:
        """Return the answer of `is_eligible` with its reason."""
        features = self.newest
        decision = self._decide(features, repository, feature)
        if decision.eligible and self.whole.get(feature) is not self.newest.get(feature):
            features = self.whole
            decision = self._decide(features, repository, feature)
        targeting = _targeting(features.get(feature))
        has_category = self.repositories.has_categories
        return Answer(
            decision.eligible,
            decision.rule,
            decision.reason,
            decision.bucket,
            decision.category if has_category else None,
            None if targeting is None else percentage_in_force(targeting, self.environment),
        )

    def explain_stale(self, feature: str, age: float) -> Answer:
        """Return the answer with stale data; a stop of the environment comes first."""
        if self.environment.stops(feature):
            return self.explain(None, feature)
        return Answer(
            eligible=False,
            rule=ClientRule.STALE,
            reason=(
                "stale: nothing was read from the database yet"
                if age == inf
                else f"stale: the database last confirmed what is known {age:.0f} seconds ago"
            ),
        )

    def explain_open_circuit(self, repository: Repository | None, feature: str) -> Answer:
        """Return the answer if the rollout gives a yes and the feature's circuit gives a no."""
        return replace(
            self.explain(repository, feature),
            eligible=False,
            rule=ClientRule.CIRCUIT_OPEN,
            reason="circuit_open: too many of the feature's jobs failed in this process",
        )

    def route(
        self,
        repository: object,
        job: Job,
        routing: Routing,
        loads: Mapping[str, Load] | None,
        *,
        eligible: bool,
    ) -> Route:
        """Return the processor that takes a job of an id or an `owner/name`."""
        category = None
        if eligible and routing.needs_categories and self.repositories.has_categories:
            found = self.repositories.find(repository)
            category = None if found is None else found.category
        return routing.route(job, eligible=eligible, category=category, loads=loads)

    def routing_of(self, feature: str) -> Routing:
        """Return the processors of a feature's jobs by the newest features, or the default ones."""
        found = self.newest.get(feature)
        return DEFAULT_ROUTING if found is None else found.routing

    def _decide(self, features: Features, repository: Repository | None, feature: str) -> Decision:
        targeting = _targeting(features.get(feature))
        return decide(feature, targeting, repository, self.environment)


def _targeting(feature: Feature | None) -> Targeting | None:
    return None if feature is None else feature.targeting


def _same_objects(features: Features, known: Features) -> dict[str, Feature]:
    """Return the features; one of an unchanged version is the known object."""
    same = dict(features)
    for name, feature in features.items():
        other = known.get(name)
        if other is not None and other.version == feature.version:
            same[name] = other
    return same


def _stopped(feature: Feature, before: Feature | None) -> Feature:
    """Return the feature with its stop on; the same object as before if its row is the same."""
    targeting = replace(feature.targeting, emergency_stop=True)
    if before is not None and before.version == feature.version and before.targeting == targeting:
        return before
    return replace(feature, targeting=targeting)
