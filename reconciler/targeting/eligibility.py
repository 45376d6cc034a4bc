"""Eligibility: whether a repository gets a feature, by the first rule that applies.

`deciding_rule` is the one place that knows the order, `is_eligible` the answer to it; both are lean,
for whoever decides often. Reasons are told in `explanation`. The database's functions decide the
same: a test compares them.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

from reconciler.targeting.buckets import BUCKET_COUNT, bucket_of, hashed_prefix
from reconciler.targeting.categories import Category
from reconciler.targeting.environment import (
    NO_OVERRIDE,
    EnvironmentOverride,
)
from reconciler.targeting.steps import step_of
from reconciler.targeting.strategy import Strategy

_BUCKETS_PER_PERCENT: Final = BUCKET_COUNT // 100


class Rule(StrEnum):
    """What decides, in the order in which it is asked."""

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
    """The part of a feature's configuration that says who is in.

    Lists hold keys: a repository id, an `owner/name` or an `owner/*`, all lower case.
    """

    active: bool
    emergency_stop: bool
    strategy: Strategy
    percentage: Decimal
    """From 0 to 100, with at most two decimals."""
    salt: str
    whitelist: frozenset[str] = frozenset()
    exclusions: frozenset[str] = frozenset()
    bucket_limit: int = field(init=False, repr=False, compare=False)
    """Buckets under this one are in, by percentage."""
    listed: frozenset[str] = field(init=False, repr=False, compare=False)
    """The keys of both lists: most repositories are in neither, which is then asked once."""
    prefix: bytes = field(init=False, repr=False, compare=False)
    """What stands before every id that is hashed."""
    off_rule: Rule | None = field(init=False, repr=False, compare=False)
    """The rule by which nobody is in, whoever asks."""
    strategy_rule: Rule = field(init=False, repr=False, compare=False)
    """The rule that decides who is in neither list."""

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
    """What a decision needs to know of a repository.

    `category` is the recorded one; where there is none, what its figures are categorised as now.
    """

    id: str
    """Lower-case UUID text."""
    full_name: str | None
    category: Category
    marked_as_test: bool = False
    keys: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """What a list may have it as, the narrowest first: id, `owner/name`, `owner/*`."""
    encoded_id: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoded_id", self.id.encode())
        object.__setattr__(self, "keys", _keys(self.id, self.full_name))


def bucket_limit(percentage: Decimal) -> int:
    """Return how many buckets a percentage lets in."""
    return int(percentage * _BUCKETS_PER_PERCENT)


def is_eligible(
    feature: str,
    targeting: Targeting | None,
    repository: Repository | None,
    environment: EnvironmentOverride = NO_OVERRIDE,
) -> bool:
    """Tell whether a repository gets a feature; None is a feature or repository not known."""
    rule = deciding_rule(feature, targeting, repository, environment)
    if targeting is None or repository is None:
        return False
    if rule is _PERCENTAGE_STRATEGY:
        limit = targeting.bucket_limit
        if environment.percentage is not None:
            limit = min(limit, bucket_limit(environment.percentage))
        return bucket_of(targeting.prefix, repository.encoded_id) < limit
    if rule is _SIZE_STRATEGY:
        step = step_of(repository.category, marked_as_test=repository.marked_as_test)
        return step <= percentage_in_force(targeting, environment)
    return rule is _WHITELISTED


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
    """Return a feature's percentage, lowered by the environment where that asks for less."""
    if environment.percentage is None:
        return targeting.percentage
    return min(targeting.percentage, environment.percentage)


def folded(name: str) -> str:
    """Return a name as lists have it: in lower case, letter by letter, as Postgres does it."""
    return name.lower() if name.isascii() else "".join(each.lower()[0] for each in name)


def _keys(repository_id: str, full_name: str | None) -> tuple[str, ...]:
    if full_name is None:
        return (repository_id,)
    name = folded(full_name)
    return (repository_id, name, f"{name.partition('/')[0]}/*")


# Bound once: looking a member up on its class costs as much as asking a rule.
_ENVIRONMENT_STOP: Final = Rule.ENVIRONMENT_STOP
_UNKNOWN_FEATURE: Final = Rule.UNKNOWN_FEATURE
_UNKNOWN_REPOSITORY: Final = Rule.UNKNOWN_REPOSITORY
_EXCLUDED: Final = Rule.EXCLUDED
_WHITELISTED: Final = Rule.WHITELISTED
_PERCENTAGE_STRATEGY: Final = Rule.PERCENTAGE_STRATEGY
_SIZE_STRATEGY: Final = Rule.SIZE_STRATEGY

_RULE_OF_STRATEGY: Final = {
    Strategy.WHITELIST: Rule.WHITELIST_STRATEGY,
    Strategy.PERCENTAGE: Rule.PERCENTAGE_STRATEGY,
    Strategy.REPOSITORY_SIZE: Rule.SIZE_STRATEGY,
}
