"""Eligibility: whether a repository gets a feature, by the first rule that applies.

`deciding_rule` defines the order of the rules, and `is_eligible` gives the result. Both are fast, since
clients call them for every job. `explanation` gives the reasons. The functions of the database decide the
same; a test compares them.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

from rollout_client.targeting.buckets import (
    BUCKETS_PER_PERCENT,
    Bucketing,
    bucket_of,
    hashed_prefix,
    hashtext_bucket_of,
)
from rollout_client.targeting.categories import Category
from rollout_client.targeting.environment import (
    NO_OVERRIDE,
    EnvironmentOverride,
)
from rollout_client.targeting.steps import step_of
from rollout_client.targeting.strategy import Strategy


class Rule(StrEnum):
    """The rules, in the order in which they are checked."""

    ENVIRONMENT_STOP = "environment_stop"
    UNKNOWN_FEATURE = "unknown_feature"
    INACTIVE = "inactive"
    EMERGENCY_STOP = "emergency_stop"
    UNKNOWN_REPOSITORY = "unknown_repository"
    EXCLUDED = "excluded"
    WHITELISTED = "whitelisted"
    WHITELIST_STRATEGY = "whitelist_strategy"
    PERCENTAGE_STRATEGY = "percentage_strategy"
    SIZE_STRATEGY = "size_strategy"


@dataclass(frozen=True, slots=True)
class Targeting:
    """The part of a feature's configuration that decides which repositories are eligible.

    Lists hold keys: a repository id, an `owner/name` or an `owner/*`, all lower case.
    """

    active: bool
    emergency_stop: bool
    strategy: Strategy
    percentage: Decimal
    """From 0 to 100, with at most two decimals."""
    salt: str
    """It is used by the bucketing `sha256` alone."""
    bucketing: Bucketing = Bucketing.SHA256
    whitelist: frozenset[str] = frozenset()
    exclusions: frozenset[str] = frozenset()
    bucket_limit: int = field(init=False, repr=False, compare=False)
    """Buckets below this number are eligible, by percentage."""
    listed: frozenset[str] = field(init=False, repr=False, compare=False)
    """The keys of both lists: most repositories are in neither, and one lookup is enough for them."""
    prefix: bytes = field(init=False, repr=False, compare=False)
    """The bytes that precede every id that is hashed by `sha256`."""
    off_rule: Rule | None = field(init=False, repr=False, compare=False)
    """The rule by which the feature is off for all repositories; None if it is on."""
    strategy_rule: Rule = field(init=False, repr=False, compare=False)
    """The rule for repositories that are in neither list."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "bucket_limit", bucket_limit(self.percentage))
        object.__setattr__(self, "listed", self.whitelist | self.exclusions)
        object.__setattr__(self, "prefix", hashed_prefix(self.salt))
        object.__setattr__(self, "off_rule", self._off_rule())
        object.__setattr__(self, "strategy_rule", _RULE_OF_STRATEGY[self.strategy])

    def _off_rule(self) -> Rule | None:
        if not self.active:
            return Rule.INACTIVE
        return Rule.EMERGENCY_STOP if self.emergency_stop else None


@dataclass(frozen=True, slots=True)
class Repository:
    """The facts about a repository that a decision needs.

    `category` is the recorded one; without a record it is the category of the current metrics.
    """

    id: str
    """Lower-case UUID text."""
    full_name: str | None
    category: Category
    marked_as_test: bool = False
    keys: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The list entries that match it, the narrowest first: id, `owner/name`, `owner/*`."""
    encoded_id: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoded_id", self.id.encode())
        object.__setattr__(self, "keys", keys_of(self.id, self.full_name))


def bucket_limit(percentage: Decimal) -> int:
    """Return the number of buckets that are eligible at a percentage."""
    return int(percentage * BUCKETS_PER_PERCENT)


def is_eligible(
    feature: str,
    targeting: Targeting | None,
    repository: Repository | None,
    environment: EnvironmentOverride = NO_OVERRIDE,
) -> bool:
    """Return whether a repository gets a feature; None stands for an unknown feature or repository."""
    rule = deciding_rule(feature, targeting, repository, environment)
    if targeting is None or repository is None:
        return False
    if rule is _PERCENTAGE_STRATEGY:
        return targeted_bucket(targeting, repository) < _limit_in_force(targeting, environment)
    if rule is _SIZE_STRATEGY:
        step = step_of(repository.category, marked_as_test=repository.marked_as_test)
        return step <= percentage_in_force(targeting, environment)
    return rule is _WHITELISTED


def sha256_limit_of_unlisted(
    feature: str, targeting: Targeting, environment: EnvironmentOverride
) -> int | None:
    """Return the limit of the buckets that get a feature, for a known repository in neither list.

    Such a repository is eligible if its bucket by `sha256` is below the limit. The limit is 0 if none of them
    gets the feature. It is None if the size or the bucketing `hashtext` decides.
    """
    rule = targeting.off_rule or targeting.strategy_rule
    if environment.stops(feature) or rule in _RULES_WITHOUT_AUDIENCE:
        return 0
    if rule is _PERCENTAGE_STRATEGY and targeting.bucketing is _SHA256:
        return _limit_in_force(targeting, environment)
    return None


def targeted_bucket(targeting: Targeting, repository: Repository) -> int:
    """Return the bucket of a repository, from 0 to 9999, by the feature's own bucketing."""
    if targeting.bucketing is _SHA256:
        return bucket_of(targeting.prefix, repository.encoded_id)
    return hashtext_bucket_of(repository.encoded_id)


def deciding_rule(
    feature: str,
    targeting: Targeting | None,
    repository: Repository | None,
    environment: EnvironmentOverride = NO_OVERRIDE,
) -> Rule:
    """Return the first rule that applies."""
    if environment is not NO_OVERRIDE and environment.stops(feature):
        return _ENVIRONMENT_STOP
    if targeting is None:
        return _UNKNOWN_FEATURE
    if targeting.off_rule is not None:
        return targeting.off_rule
    if repository is None:
        return _UNKNOWN_REPOSITORY
    if targeting.listed.isdisjoint(repository.keys):
        return targeting.strategy_rule
    return _WHITELISTED if targeting.exclusions.isdisjoint(repository.keys) else _EXCLUDED


def percentage_in_force(targeting: Targeting, environment: EnvironmentOverride) -> Decimal:
    """Return a feature's percentage, or the limit of the environment if that is lower."""
    if environment.percentage is None:
        return targeting.percentage
    return min(targeting.percentage, environment.percentage)


def _limit_in_force(targeting: Targeting, environment: EnvironmentOverride) -> int:
    if environment.percentage is None:
        return targeting.bucket_limit
    return min(targeting.bucket_limit, bucket_limit(environment.percentage))


def folded(name: str) -> str:
    """Return a name in lower case, letter by letter, as Postgres lowers it for lists."""
    return name.lower() if name.isascii() else "".join(each.lower()[0] for each in name)


def keys_of(repository_id: str, full_name: str | None) -> tuple[str, ...]:
    """Return the list entries that match a repository, the narrowest first."""
    if full_name is None:
        return (repository_id,)
    name = folded(full_name)
    return (repository_id, name, f"{name.partition('/')[0]}/*")


# Bound once: looking a member up on its class costs as much as checking a rule.
_SHA256: Final = Bucketing.SHA256
_ENVIRONMENT_STOP: Final = Rule.ENVIRONMENT_STOP
_UNKNOWN_FEATURE: Final = Rule.UNKNOWN_FEATURE
_UNKNOWN_REPOSITORY: Final = Rule.UNKNOWN_REPOSITORY
_EXCLUDED: Final = Rule.EXCLUDED
_WHITELISTED: Final = Rule.WHITELISTED
_PERCENTAGE_STRATEGY: Final = Rule.PERCENTAGE_STRATEGY
_SIZE_STRATEGY: Final = Rule.SIZE_STRATEGY
_RULES_WITHOUT_AUDIENCE: Final = frozenset(
    {Rule.INACTIVE, Rule.EMERGENCY_STOP, Rule.WHITELIST_STRATEGY}
)

_RULE_OF_STRATEGY: Final = {
    Strategy.WHITELIST: Rule.WHITELIST_STRATEGY,
    Strategy.PERCENTAGE: Rule.PERCENTAGE_STRATEGY,
    Strategy.REPOSITORY_SIZE: Rule.SIZE_STRATEGY,
}
