"""Evaluation: a client's answer in OpenFeature's terms.

A feature is a boolean flag, evaluated for a repository. A no is a value, also with stale data: an
error would give the caller's default, which may be a yes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from rollout_client.client import RolloutClient
from rollout_client.state import Answer, ClientRule
from rollout_client.targeting.eligibility import Rule

REPOSITORY_ATTRIBUTE: Final = "repository"
"""Names the repository if the targeting key is something else; it has priority."""


class Reason(StrEnum):
    """The reason for a flag's value; OpenFeature's names."""

    STATIC = "STATIC"
    """It is the same for every repository that is in no list."""
    TARGETING_MATCH = "TARGETING_MATCH"
    """A list contains the repository, or the step of its size is reached."""
    SPLIT = "SPLIT"
    """Its bucket decides."""
    DEFAULT = "DEFAULT"
    """No rule makes this repository eligible."""
    DISABLED = "DISABLED"
    """The feature is off for all repositories."""
    STALE = "STALE"
    """The data is too old for a yes."""
    UNKNOWN = "UNKNOWN"
    """None of the others."""


class ErrorCode(StrEnum):
    """The reason why a flag has no value; OpenFeature's names."""

    PROVIDER_NOT_READY = "PROVIDER_NOT_READY"
    """Nothing was read from the database yet."""
    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
    """No feature has this name."""
    TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"
    """The answer depends on the repository, and the context names none."""
    INVALID_CONTEXT = "INVALID_CONTEXT"
    """The repository in the context has another type."""


class EvaluationRefused(Exception):
    """A flag has no value, so the caller's default counts."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The value of a flag for a repository, and the reason."""

    value: bool
    reason: Reason
    metadata: Mapping[str, str | int | float]
    """`rule`, and if known `bucket`, `category` and `percentage`."""

    @property
    def variant(self) -> str:
        """The value's name."""
        return "on" if self.value else "off"


def evaluate(client: RolloutClient, flag: str, repository: str | UUID | None) -> Evaluation:
    """Return the value of a flag for a repository; `repository` is None if the context names none.

    Raises:
        EvaluationRefused: There is no value.
    """
    answer = client.decide("" if repository is None else repository, flag)
    match answer.rule:
        case Rule.UNKNOWN_FEATURE:
            raise EvaluationRefused(ErrorCode.FLAG_NOT_FOUND, answer.reason)
        case Rule.UNKNOWN_REPOSITORY if repository is None:
            raise EvaluationRefused(
                ErrorCode.TARGETING_KEY_MISSING,
                "name the repository, by id or owner/name, as the targeting key",
            )
        case ClientRule.STALE if client.status().age is None:
            raise EvaluationRefused(ErrorCode.PROVIDER_NOT_READY, answer.reason)
    return Evaluation(answer.eligible, reason_of(answer), _metadata(answer))


def repository_named(targeting_key: object, attributes: Mapping[str, object]) -> str | UUID | None:
    """Return the repository that a context names; None if it names none.

    Raises:
        EvaluationRefused: The name is not a text.
    """
    named = attributes.get(REPOSITORY_ATTRIBUTE)
    asked = targeting_key if named is None else named
    if asked is None:
        return None
    if not isinstance(asked, str | UUID):
        what = "the targeting key" if named is None else f"the attribute {REPOSITORY_ATTRIBUTE}"
        raise EvaluationRefused(
            ErrorCode.INVALID_CONTEXT,
            f"{what} is not a text; write a repository's id or owner/name",
        )
    return asked


def reason_of(answer: Answer) -> Reason:  # noqa: PLR0911 - one for each
    """Return OpenFeature's reason for an answer."""
    match answer.rule:
        case Rule.ENVIRONMENT_STOP | Rule.INACTIVE | Rule.EMERGENCY_STOP | ClientRule.CIRCUIT_OPEN:
            return Reason.DISABLED
        case Rule.EXCLUDED | Rule.WHITELISTED:
            return Reason.TARGETING_MATCH
        case Rule.PERCENTAGE_STRATEGY | Rule.SIZE_STRATEGY if answer.percentage in {0, 100}:
            return Reason.STATIC
        case Rule.PERCENTAGE_STRATEGY:
            return Reason.SPLIT
        case Rule.SIZE_STRATEGY:
            return Reason.TARGETING_MATCH if answer.eligible else Reason.DEFAULT
        case Rule.UNKNOWN_FEATURE | Rule.UNKNOWN_REPOSITORY | Rule.WHITELIST_STRATEGY:
            return Reason.DEFAULT
        case ClientRule.STALE:
            return Reason.STALE


def _metadata(answer: Answer) -> Mapping[str, str | int | float]:
    known: dict[str, str | int | float] = {"rule": answer.rule.value}
    if answer.bucket is not None:
        known["bucket"] = answer.bucket
    if answer.category is not None:
        known["category"] = answer.category.value
    if answer.percentage is not None:
        known["percentage"] = float(answer.percentage)
    return MappingProxyType(known)
