"""Eligible repositories: one repository explained, participation, and the repositories to add next.

Every function reads in the caller's transaction and writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from reconciler.database.blast_radius import NO_AUDIENCE, EligibleCounts, count_eligible
from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.planning.eligible_count import EligibleCount
from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.categories import Activity, Category
from rollout_client.targeting.eligibility import Repository, Rule, Targeting
from rollout_client.targeting.environment import NO_OVERRIDE, EnvironmentOverride
from rollout_client.targeting.explanation import Decision, RuleFinding, decide, explain
from rollout_client.targeting.strategy import Strategy

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection
    from reconciler.database.repositories import FoundRepository
    from reconciler.database.time_travel import Then

_SQL = queries("eligibility")


_LIMITED_RULES: Final = frozenset(
    {Rule.EMERGENCY_STOP, Rule.PERCENTAGE_STRATEGY, Rule.SIZE_STRATEGY}
)
"""The rules whose result an override can change."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one repository is eligible for one feature, or is not."""

    feature: str
    repository_id: str
    repository: Repository | None
    """None if no repository has this id."""
    activity: Activity | None
    """The present counts; a recorded category may come from older counts."""
    is_categorized: bool
    """Whether the category is recorded; if not, it was computed for this answer."""
    decision: Decision
    rules: tuple[RuleFinding, ...]
    """All ten, in order."""

    @property
    def can_be_limited(self) -> bool:
        """Whether an override in force can be the reason that the repository is not eligible."""
        return not self.decision.eligible and self.decision.rule in _LIMITED_RULES


@dataclass(frozen=True, slots=True)
class Participation:
    """The progress of one feature's rollout; numbers count repositories unless stated otherwise."""

    total: int
    categorized: int
    test_repositories: int
    eligible: int
    eligible_by_category: Mapping[Category, int]
    """In the order of `Category`, every category."""
    active: int
    """Repositories with a job in the feature's window."""
    jobs: int
    """Jobs in the feature's window; errors likewise."""
    errors: int

    @property
    def rate(self) -> float:
        """The share of all repositories that is eligible, from 0 to 1."""
        return self.eligible / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class ReadyRepository:
    """A repository that is not eligible yet."""

    id: str
    full_name: str
    category: Category
    priority: int
    activity: int
    """The monthly activity score, from 0 to 100."""


def explain_repository(
    connection: "AnyConnection",
    found: "FoundRepository",
    feature: str,
    environment: EnvironmentOverride = NO_OVERRIDE,
) -> Explanation:
    """Return why a repository is eligible for a feature or is not, with every rule.

    The decision comes from the function that services call. If an environment is given, this
    process decides, because the database cannot see a process's environment.
    """
    row = execute(connection, _SQL["activity"], {"id": found.id}).one_or_none()
    repository = None if row is None else _repository(row)
    keys = (found.id,) if repository is None else repository.keys
    targeting = _read_targeting(connection, feature, keys)
    return Explanation(
        feature=feature,
        repository_id=found.id,
        repository=repository,
        activity=None if row is None else _activity(row),
        is_categorized=row is not None and row.is_categorized,
        decision=(
            _read_decision(connection, feature, found.id)
            if environment == NO_OVERRIDE
            else decide(feature, targeting, repository, environment)
        ),
        rules=explain(feature, targeting, repository, environment),
    )


def explain_everywhere(
    connection: "AnyConnection", found: "FoundRepository"
) -> tuple[Explanation, ...]:
    """Return why a repository is eligible for each feature or is not, by the feature's name.

    The number of queries does not depend on the number of features.
    """
    row = execute(connection, _SQL["activity"], {"id": found.id}).one_or_none()
    repository = None if row is None else _repository(row)
    keys = (found.id,) if repository is None else repository.keys
    targetings = {
        each.feature: _targeting(each)
        for each in execute(connection, _SQL["targeting"], {"feature": None, "keys": list(keys)})
    }
    return tuple(
        Explanation(
            feature=each.feature,
            repository_id=found.id,
            repository=repository,
            activity=None if row is None else _activity(row),
            is_categorized=row is not None and row.is_categorized,
            decision=_decision(each),
            rules=explain(each.feature, targetings[each.feature], repository),
        )
        for each in execute(connection, _SQL["decisions"], {"id": found.id})
    )


def explain_then(
    connection: "AnyConnection", found: "FoundRepository", feature: str, then: "Then"
) -> Explanation:
    """Return why a repository was eligible for a feature at that time or was not, with every rule.

    The repository has its present name and counts.
    """
    row = execute(connection, _SQL["activity"], {"id": found.id}).one_or_none()
    repository = None
    if row is not None:
        repository = then.repository(row.id, row.full_name, Category(row.category), _activity(row))
    return Explanation(
        feature=feature,
        repository_id=found.id,
        repository=repository,
        activity=None if row is None else _activity(row),
        is_categorized=row is not None and row.is_categorized,
        decision=decide(feature, then.targeting, repository),
        rules=explain(feature, then.targeting, repository),
    )


def read_participation(connection: "AnyConnection", feature: str) -> Participation:
    """Return one feature's participation; for an unknown feature 0 repositories are eligible."""
    return read_participations(connection, [feature])[feature]


def read_participations(
    connection: "AnyConnection", features: Sequence[str]
) -> Mapping[str, Participation]:
    """Return the participation of features by name, by one scan of the repositories."""
    counts = _count(connection, features)
    jobs = {
        row.feature: row for row in execute(connection, _SQL["jobs"], {"features": list(features)})
    }
    return {name: _participation(counts, name, jobs.get(name)) for name in features}


def count_features(
    connection: "AnyConnection", features: Sequence[str]
) -> Mapping[str, EligibleCount]:
    """Return the eligible repositories of features by name, by one scan of the repositories."""
    return _count(connection, features).eligible


def _count(connection: "AnyConnection", features: Sequence[str]) -> EligibleCounts:
    rows = execute(connection, _SQL["targeting"], {"feature": None, "keys": []})
    targetings = {row.feature: _targeting(row) for row in rows if row.feature in features}
    return count_eligible(
        connection, {name: targetings.get(name, NO_AUDIENCE) for name in features}
    )


def _participation(counts: EligibleCounts, feature: str, jobs: "Any") -> Participation:
    count = counts.eligible[feature]
    return Participation(
        total=counts.total,
        categorized=counts.categorized,
        test_repositories=counts.test_repositories,
        eligible=count.eligible,
        eligible_by_category=count.by_category,
        active=0 if jobs is None else jobs.active,
        jobs=0 if jobs is None else int(jobs.jobs),
        errors=0 if jobs is None else int(jobs.errors),
    )


def read_ready(connection: "AnyConnection", feature: str, most: int) -> tuple[ReadyRepository, ...]:
    """Return the repositories to add next, by priority and then by activity, the highest first."""
    rows = execute(connection, _SQL["ready"], {"feature": feature, "most": most})
    return tuple(
        ReadyRepository(
            id=row.id,
            full_name=row.full_name,
            category=Category(row.category),
            priority=row.priority,
            activity=row.activity,
        )
        for row in rows
    )


def _repository(row: "Any") -> Repository:
    return Repository(
        id=row.id,
        full_name=row.full_name,
        category=Category(row.category),
        marked_as_test=row.marked_as_test,
    )


def _activity(row: "Any") -> Activity:
    return Activity(row.stars, row.contributors, row.pull_requests)


def _read_decision(connection: "AnyConnection", feature: str, repository_id: str) -> Decision:
    row = execute(connection, _SQL["decide"], {"id": repository_id, "feature": feature}).one()
    return _decision(row)


def _decision(row: "Any") -> Decision:
    return Decision(
        eligible=row.eligible,
        rule=Rule(row.rule),
        reason=row.reason,
        bucket=row.bucket,
        category=None if row.category is None else Category(row.category),
    )


def _read_targeting(
    connection: "AnyConnection", feature: str, keys: tuple[str, ...]
) -> Targeting | None:
    row = execute(
        connection, _SQL["targeting"], {"feature": feature, "keys": list(keys)}
    ).one_or_none()
    return None if row is None else _targeting(row)


def _targeting(row: "Any") -> Targeting:
    return Targeting(
        active=row.active,
        emergency_stop=row.emergency_stop,
        strategy=Strategy(row.strategy),
        percentage=row.percentage,
        salt=row.salt,
        bucketing=Bucketing(row.bucketing),
        whitelist=frozenset(row.whitelist),
        exclusions=frozenset(row.exclusions),
    )
