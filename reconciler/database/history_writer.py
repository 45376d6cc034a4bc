"""Writing history: one row for each thing that happened, with who, why and which generation.

Append-only, in the transaction of what it tells: no change without its row, no row without its change.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from reconciler.database.queries import queries
from reconciler.planning.drift import Decision, Drift
from reconciler.planning.feature_config import plain
from reconciler.planning.history import Action

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("history")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Writes rows that share who, why and which generation."""

    connection: "Connection"
    generation: int
    by: str
    """Who; the column keeps 100 characters, the metadata all."""
    reason: str
    commit: str | None = None
    uncommitted: bool = False

    def change(
        self,
        action: Action,
        *,
        feature: str | None,
        details: Mapping[str, Any],
        percentages: tuple[Decimal | None, Decimal | None] = (None, None),
    ) -> None:
        """Write one row; `feature` is None for what concerns no one feature."""
        previous_percentage, new_percentage = percentages
        parameters = self._row(action, feature, details) | {
            "previous_percentage": previous_percentage,
            "new_percentage": new_percentage,
        }
        self.connection.execute(text(_SQL["record_change"]), parameters)

    def entries(
        self,
        action: Action,
        *,
        feature: str | None,
        details: Mapping[str, Any],
        entries: Mapping[str, str],
    ) -> None:
        """Write one row for each entry, key → name, of a list that came or went."""
        if entries:
            parameters = self._row(action, feature, details) | {
                "keys": list(entries.keys()),
                "names": list(entries.values()),
            }
            self.connection.execute(text(_SQL["record_entries"]), parameters)

    def drift(self, feature: str, drift: Drift) -> None:
        """Write what somebody changed live, and the value that the plan goes on from."""
        last_applied, live = plain(drift.last_applied), plain(drift.live)
        match drift.decision:
            case Decision.KEEP | Decision.ADOPT:
                action, after = Action.DRIFT_KEPT, live
                percentages = drift.last_applied, drift.live
            case Decision.REVERT:
                action, after = Action.DRIFT_REVERTED, last_applied
                percentages = drift.live, drift.last_applied
            case Decision.HOLD:
                raise AssertionError("a plan with held drift is refused before it is written")
        details = {"live": live, "before": last_applied, "after": after}
        self.change(
            action,
            feature=feature,
            details={"field": drift.field.name, **details},
            percentages=percentages if drift.field.name == "percentage" else (None, None),
        )

    def _row(
        self, action: Action, feature: str | None, details: Mapping[str, Any]
    ) -> dict[str, Any]:
        metadata = {
            "generation": self.generation,
            "commit": self.commit,
            "uncommitted": self.uncommitted,
            "by": self.by,
            **details,
        }
        return {
            "action": action.value,
            "feature_name": feature,
            "reason": self.reason,
            "triggered_by": self.by[:100],
            "metadata": json.dumps(metadata),
        }
