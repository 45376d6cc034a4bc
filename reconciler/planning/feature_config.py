"""The state of one feature, as it is live or as an apply would make it.

Names in the lists are keys: a repository id, an `owner/name` that no repository has yet, or `owner/*`,
all lower case.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Self

from reconciler.targeting.eligibility import Targeting
from reconciler.targeting.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Exposure:
    """How far a feature is open: what people, overrides and the safeguard move at once."""

    active: bool
    emergency_stop: bool
    percentage: Decimal


@dataclass(frozen=True, slots=True)
class Configuration:
    """One row of `rollout_configuration`, as values."""

    active: bool
    emergency_stop: bool
    strategy: Strategy
    percentage: Decimal
    salt: str
    whitelist: frozenset[str]
    exclusions: frozenset[str]
    max_error_rate: Decimal
    min_jobs: int
    window: timedelta
    auto_rollback: bool
    rollback_to: Decimal
    description: str | None

    @property
    def exposure(self) -> Exposure:
        """The part that says how far the feature is open."""
        return Exposure(self.active, self.emergency_stop, self.percentage)

    @property
    def targeting(self) -> Targeting:
        """The part that says who is in."""
        return Targeting(
            active=self.active,
            emergency_stop=self.emergency_stop,
            strategy=self.strategy,
            percentage=self.percentage,
            salt=self.salt,
            whitelist=self.whitelist,
            exclusions=self.exclusions,
        )

    def deactivated(self) -> Self:
        """Return this state for a feature that the file no longer has: kept, but nobody is in."""
        return replace(self, active=False)
