"""What is applied: a file, its commit and its author, and where health and approvals are asked."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.planning.history import HistoryCause
from reconciler.planning.plan_inputs import Source

if TYPE_CHECKING:
    from reconciler.planning.approvals import ApprovalSource
    from reconciler.planning.health import MetricsSource
    from reconciler.rollout_file.model import Rollout


@dataclass(frozen=True, slots=True)
class Application:
    """The author and the commit of an apply, recorded with the generation and every row of history."""

    source: Source
    rollout: "Rollout"
    applied_by: str
    """The person, as far as the machine knows; at most 100 characters are kept."""
    metrics_source: "MetricsSource | None" = None
    """The source of metrics for the guard `soak`; None for the database."""
    approval_source: "ApprovalSource | None" = None
    """Where approvals are proved; None for signed commits."""

    @property
    def cause(self) -> HistoryCause:
        """The cause for every row of history that this apply writes."""
        return HistoryCause(
            by=self.applied_by,
            reason=self.source.reason,
            commit=self.source.commit,
            uncommitted=self.source.uncommitted,
        )
