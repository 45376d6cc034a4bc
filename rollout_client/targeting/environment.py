"""Limits from the environment of the process, which apply before every configuration.

They only narrow: they stop features or lower the percentage. A value that cannot be read counts as the
narrowest, since people set these variables to limit a rollout.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

STOP_VARIABLE: Final = "ROLLOUT_EMERGENCY_STOP"
"""`true` stops every feature; otherwise the names of features to stop, separated by commas."""
PERCENTAGE_VARIABLE: Final = "ROLLOUT_PERCENTAGE"
"""The upper limit for the percentage of every feature, from 0 to 100 with at most two decimals."""

_PERCENTAGE = re.compile(r"\d{1,3}(\.\d{1,2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class EnvironmentOverride:
    """The variables as values; the default limits nothing."""

    stops_all: bool = False
    stopped_features: frozenset[str] = frozenset()
    """In lower case: names compare without regard to it."""
    percentage: Decimal | None = None
    """The upper limit of every percentage; None means no limit."""
    percentage_is_malformed: bool = False
    """The variable could not be read: the limit is 0, and only whitelisted repositories are eligible."""

    @classmethod
    def parse(cls, environment: Mapping[str, str]) -> Self:
        """Return the limits of an environment. A variable that is empty counts as not set.

        A `ROLLOUT_PERCENTAGE` that is not a plain number from 0 to 100 counts as 0: people set it to
        lower a percentage, so ignoring the value would do the opposite.
        """
        entries = environment.get(STOP_VARIABLE, "").lower().split(",")
        stopped = frozenset(filter(None, map(str.strip, entries)))
        written = environment.get(PERCENTAGE_VARIABLE, "").strip()
        percentage = _parse_percentage(written)
        found = cls(
            stops_all="true" in stopped,
            stopped_features=stopped - {"true"},
            percentage=Decimal(0) if written and percentage is None else percentage,
            percentage_is_malformed=bool(written) and percentage is None,
        )
        # One object for no override: a decision compares it by identity.
        return NO_OVERRIDE if found == NO_OVERRIDE else found

    def stops(self, feature: str) -> bool:
        """Return whether a feature is stopped by this environment."""
        return self.stops_all or feature.lower() in self.stopped_features


NO_OVERRIDE: Final = EnvironmentOverride()


def _parse_percentage(written: str) -> Decimal | None:
    if _PERCENTAGE.fullmatch(written) is None:
        return None
    percentage = Decimal(written)
    return percentage if percentage <= 100 else None  # noqa: PLR2004 - percent
