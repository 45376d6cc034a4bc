"""Explanation: the finding of each rule, in a sentence, and the rule that decided.

It decides nothing: the result is `eligibility`'s. The database gives the same sentences; a test compares
them word for word.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import (
    Repository,
    Rule,
    Targeting,
    bucket_limit,
    deciding_rule,
    is_eligible,
    percentage_in_force,
    targeted_bucket,
)
from rollout_client.targeting.environment import (
    NO_OVERRIDE,
    PERCENTAGE_VARIABLE,
    STOP_VARIABLE,
    EnvironmentOverride,
)
from rollout_client.targeting.steps import step_of

LIST_HAS: Final = {
    Rule.EXCLUDED: "the exclusions have ",
    Rule.WHITELISTED: "the whitelist has ",
}
"""The beginning of the finding of a list that has the repository; the entry follows it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A result with its reason."""

    eligible: bool
    rule: Rule
    reason: str
    bucket: int | None
    """From 0 to 9999; None if the feature or the repository is unknown."""
    category: Category | None
    """None if the repository is unknown."""


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """The finding of one rule; exactly one rule decides."""

    rule: Rule
    decides: bool
    found: str


def decide(
    feature: str,
    targeting: Targeting | None,
    repository: Repository | None,
    environment: EnvironmentOverride = NO_OVERRIDE,
) -> Decision:
    """Return the result of `is_eligible` with the rule that decides and the values behind it."""
    rule = deciding_rule(feature, targeting, repository, environment)
    found = None
    if targeting is not None and repository is not None:
        found = targeted_bucket(targeting, repository)
    return Decision(
        eligible=is_eligible(feature, targeting, repository, environment),
        rule=rule,
        reason=_found(rule, feature, targeting, repository, environment),
        bucket=found,
        category=None if repository is None else repository.category,
    )


def explain(
    feature: str,
    targeting: Targeting | None,
    repository: Repository | None,
    environment: EnvironmentOverride = NO_OVERRIDE,
) -> tuple[RuleFinding, ...]:
    """Return every rule in order with its finding, also those after the rule that decides."""
    deciding = deciding_rule(feature, targeting, repository, environment)
    return tuple(
        RuleFinding(
            rule=rule,
            decides=rule is deciding,
            found=_found(rule, feature, targeting, repository, environment),
        )
        for rule in Rule
    )


def _found(  # noqa: PLR0911 - which facts each rule needs
    rule: Rule,
    feature: str,
    targeting: Targeting | None,
    repository: Repository | None,
    environment: EnvironmentOverride,
) -> str:
    if rule is Rule.ENVIRONMENT_STOP:
        return _environment_found(feature, environment)
    if rule is Rule.UNKNOWN_FEATURE:
        return "no feature has this name" if targeting is None else "the feature is configured"
    if rule is Rule.UNKNOWN_REPOSITORY:
        return "no repository has this id" if repository is None else "the repository is known"
    if targeting is None:
        return "not asked: the feature is not known"
    if rule in _OF_THE_FEATURE:
        return _OF_THE_FEATURE[rule](targeting)
    if repository is None:
        return "not asked: the repository is not known"
    return _OF_BOTH[rule](targeting, repository, environment)


def _environment_found(feature: str, environment: EnvironmentOverride) -> str:
    if environment.stops_all:
        return f"{STOP_VARIABLE} is true"
    if environment.stops(feature):
        return f"{STOP_VARIABLE} names the feature"
    return f"{STOP_VARIABLE} does not stop the feature"


def _inactive_found(targeting: Targeting) -> str:
    return f"the feature is {'active' if targeting.active else 'inactive'}"


def _emergency_stop_found(targeting: Targeting) -> str:
    return f"the emergency stop is {'on' if targeting.emergency_stop else 'off'}"


def _excluded_found(
    targeting: Targeting, repository: Repository, _environment: EnvironmentOverride
) -> str:
    found = _key_in(targeting.exclusions, repository)
    return "the exclusions do not have it" if found is None else LIST_HAS[Rule.EXCLUDED] + found


def _whitelisted_found(
    targeting: Targeting, repository: Repository, _environment: EnvironmentOverride
) -> str:
    found = _key_in(targeting.whitelist, repository)
    return "the whitelist does not have it" if found is None else LIST_HAS[Rule.WHITELISTED] + found


def _whitelist_strategy_found(
    targeting: Targeting, repository: Repository, _environment: EnvironmentOverride
) -> str:
    if targeting.strategy_rule is not Rule.WHITELIST_STRATEGY:
        return _other_strategy_found(targeting)
    if _key_in(targeting.whitelist, repository) is not None:
        return "the strategy is whitelist"
    return "the strategy is whitelist, and the whitelist does not have it"


def _percentage_strategy_found(
    targeting: Targeting, repository: Repository, environment: EnvironmentOverride
) -> str:
    if targeting.strategy_rule is not Rule.PERCENTAGE_STRATEGY:
        return _other_strategy_found(targeting)
    found = targeted_bucket(targeting, repository)
    limit = bucket_limit(percentage_in_force(targeting, environment))
    under = "under" if found < limit else "not under"
    return f"bucket {found} is {under} {limit} ({_percentage_words(targeting, environment)})"


def _size_strategy_found(
    targeting: Targeting, repository: Repository, environment: EnvironmentOverride
) -> str:
    if targeting.strategy_rule is not Rule.SIZE_STRATEGY:
        return _other_strategy_found(targeting)
    marked = repository.marked_as_test
    who = "repositories marked as test" if marked else f"{repository.category} repositories"
    step = step_of(repository.category, marked_as_test=marked)
    words = _percentage_words(targeting, environment)
    return f"{who} are eligible from {step} %, the percentage is {words}"


def _other_strategy_found(targeting: Targeting) -> str:
    return f"the strategy is {targeting.strategy}"


def _key_in(keys: frozenset[str], repository: Repository) -> str | None:
    return next((key for key in repository.keys if key in keys), None)


def _percentage_words(targeting: Targeting, environment: EnvironmentOverride) -> str:
    percentage = percentage_in_force(targeting, environment)
    words = f"{percentage.normalize():f} %"
    if percentage == targeting.percentage:
        return words
    if environment.percentage_is_malformed:
        return f"{words}, since {PERCENTAGE_VARIABLE} is not a number from 0 to 100"
    return f"{words}, lowered by {PERCENTAGE_VARIABLE}"


_OF_THE_FEATURE: Final[Mapping[Rule, Callable[[Targeting], str]]] = {
    Rule.INACTIVE: _inactive_found,
    Rule.EMERGENCY_STOP: _emergency_stop_found,
}
_OF_BOTH: Final[Mapping[Rule, Callable[[Targeting, Repository, EnvironmentOverride], str]]] = {
    Rule.EXCLUDED: _excluded_found,
    Rule.WHITELISTED: _whitelisted_found,
    Rule.WHITELIST_STRATEGY: _whitelist_strategy_found,
    Rule.PERCENTAGE_STRATEGY: _percentage_strategy_found,
    Rule.SIZE_STRATEGY: _size_strategy_found,
}
