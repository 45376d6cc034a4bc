"""Writes the audit trail: each change has its row, in the same transaction, and each row its change."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.planning.field_types import plain
from reconciler.planning.history import Action, HistoryCause

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection
    from reconciler.planning.drift import Drift

_SQL = queries("history")


@dataclass(frozen=True, slots=True)
class HistoryWriter:
    """Writes the rows with one cause."""

    connection: "AnyConnection"
    generation: int
    cause: HistoryCause

    def with_details(self, details: Mapping[str, Any]) -> Self:
        """Return a writer whose rows have these details too."""
        cause = replace(self.cause, details={**self.cause.details, **details})
        return replace(self, cause=cause)

    def change(
        self,
        action: Action,
        *,
        feature: str | None,
        details: Mapping[str, Any],
        percentages: tuple[Decimal | None, Decimal | None] = (None, None),
    ) -> None:
        """Write one row; `feature` is None if it concerns no single feature."""
        self._record(self._row(action, feature, details), percentages)

    def entries(
        self,
        action: Action,
        *,
        feature: str | None,
        details: Mapping[str, Any],
        entries: Mapping[str, str],
    ) -> None:
        """Write one row for each entry of a list, key → name, that was added or removed."""
        if entries:
            parameters = self._row(action, feature, details) | {
                "keys": list(entries.keys()),
                "names": list(entries.values()),
            }
            execute(self.connection, _SQL["record_entries"], parameters)

    def reverted_marks(self, entries: Mapping[str, str], *, is_marked: bool) -> None:
        """Write one row for each mark as test, id → name, that SQL removed or set and that is undone."""
        if entries:
            details = {"field": "test_repositories", "live": not is_marked, "after": is_marked}
            row = self._for_drift(self._row(Action.DRIFT_REVERTED, None, details))
            names = {"keys": list(entries.keys()), "names": list(entries.values())}
            execute(self.connection, _SQL["record_entries"], row | names)

    def drift(self, feature: str, drift: "Drift") -> None:
        """Write the changes of the live state, and the value from which the plan continues."""
        # Imported here: a stop does not wait for what compares lists.
        from reconciler.planning.drift import Decision

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
        details = {
            "field": drift.field.name,
            "live": live,
            "before": last_applied,
            "after": after,
        }
        is_percentage = drift.field.name == "percentage"
        parameters = self._for_drift(self._row(action, feature, details))
        self._record(parameters, percentages if is_percentage else (None, None))

    def _for_drift(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row without a commit's reason, which is not the reason for a live change."""
        return {**row, "reason": None} if self.cause.commit is not None else {**row}

    def _record(
        self, parameters: Mapping[str, Any], percentages: tuple[Decimal | None, Decimal | None]
    ) -> None:
        previous_percentage, new_percentage = percentages
        execute(
            self.connection,
            _SQL["record_change"],
            {
                **parameters,
                "previous_percentage": previous_percentage,
                "new_percentage": new_percentage,
            },
        )

    def _row(
        self, action: Action, feature: str | None, details: Mapping[str, Any]
    ) -> dict[str, Any]:
        metadata = {
            "generation": self.generation,
            "commit": self.cause.commit,
            "uncommitted": self.cause.uncommitted,
            "by": self.cause.by,
            **self.cause.details,
            **details,
        }
        return {
            "action": action.value,
            "feature_name": feature,
            "reason": self.cause.reason,
            "triggered_by": self.cause.by[:100],
            "metadata": json.dumps(metadata),
        }
