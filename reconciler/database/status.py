"""The rollout's status: the newest apply, and each feature's state and eligible repositories."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from reconciler.database.approvals import read_approved
from reconciler.database.driver import execute
from reconciler.database.eligible_counts import read_eligible_counts
from reconciler.database.freezes import read_applied_freezes
from reconciler.database.health import read_healths
from reconciler.database.lease import read_last_tick
from reconciler.database.notifications import read_queue_usage
from reconciler.database.outbox import OutboxCounts, read_counts
from reconciler.database.queries import queries
from reconciler.database.server import has_synchronous_standby
from reconciler.planning.eligible_count import EligibleCount, live_counts, newest_count
from reconciler.planning.freezes import Hold
from reconciler.planning.health import Health, Reason, Verdict
from reconciler.planning.history import show_approval

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("status")


@dataclass(frozen=True, slots=True)
class OverrideStatus:
    """An override in force, which limits a feature below its desired state."""

    id: UUID
    percentage: Decimal | None
    """The limit; None for a stop."""
    reason: str
    by: str
    at: datetime
    in_git: bool
    proposed_branch: str | None
    """The branch that proposes it, if the rollout's own branch refuses pushes."""


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """A feature's verdict, and its reason in a sentence."""

    verdict: Verdict
    reason: Reason | None
    summary: str
    evidence: float | None
    """None under the method `threshold`."""


@dataclass(frozen=True, slots=True)
class FreezeStatus:
    """The freezes that hold a feature."""

    names: tuple[str, ...]
    until: datetime
    summary: str


@dataclass(frozen=True, slots=True)
class ApprovalStatus:
    """Who approved a feature's last widening, or who allowed it without."""

    approved_by: list[Mapping[str, str]]
    """Each with the name, and with the pull request or the commit."""
    allowed: Mapping[str, str] | None
    summary: str


@dataclass(frozen=True, slots=True)
class FeatureStatus:
    """One feature: its configuration, and its number of eligible repositories."""

    name: str
    active: bool
    emergency_stop: bool
    strategy: str
    percentage: Decimal
    eligible: int
    counted_at: datetime | None
    """When the eligible repositories were counted; None if they were counted for this answer."""
    counted_before_change: bool
    """Whether the feature's audience was changed after the count."""
    repositories: int
    """All repositories, when the eligible ones were counted."""
    whitelist: int
    exclusions: int
    updated_at: datetime
    override: OverrideStatus | None
    resumed_in_git: int
    """The number of resumed overrides that may still be in git."""
    health: HealthStatus
    freeze: FreezeStatus | None
    """The freezes that hold its audience now; None without one."""
    approval: ApprovalStatus | None
    """Who approved its last widening; None if no rule asked for it."""


@dataclass(frozen=True, slots=True)
class Status:
    """The rollout on one screen."""

    generation: int
    applied_commit: str | None
    applied_at: datetime | None
    repositories: int
    notification_queue: float
    """How full the server's queue of notifications is, in percent."""
    synchronous_standby: bool
    """Whether a second server confirms each commit."""
    last_tick: datetime | None
    """When the last tick of the watch succeeded; None if none is recorded."""
    features: list[FeatureStatus]
    notifications: OutboxCounts
    """The notifications that are not delivered."""


def read_status(
    connection: "AnyConnection", *, feature: str | None, is_exact: bool = False
) -> Status:
    """Return the state of all features, or of the named one; exact counts take a scan."""
    state = execute(connection, _SQL["state"]).one()
    features = execute(connection, _SQL["features"], {"feature": feature}).mappings()
    names = [row["name"] for row in features]
    counts = read_eligible_counts(connection, names, is_exact=is_exact)
    healths = read_healths(connection, names, eligible=live_counts(counts))
    overrides = {
        found.pop("feature"): OverrideStatus(**found)
        for found in map(dict, execute(connection, _SQL["overrides"]).mappings())
    }
    freezes = read_applied_freezes(connection)
    approved = read_approved(connection)
    return Status(
        **state._asdict(),
        repositories=_count_repositories(connection, counts),
        notification_queue=read_queue_usage(connection),
        synchronous_standby=has_synchronous_standby(connection),
        last_tick=read_last_tick(connection),
        features=[
            FeatureStatus(
                **row,
                eligible=counts[row["name"]].eligible,
                counted_at=counts[row["name"]].counted_at,
                counted_before_change=counts[row["name"]].is_before_change,
                repositories=counts[row["name"]].repositories,
                override=overrides.get(row["name"]),
                health=_health(healths[row["name"]]),
                freeze=_freeze(freezes.hold(row["name"])),
                approval=_approval(approved.get(row["name"])),
            )
            for row in features
        ],
        notifications=read_counts(connection),
    )


def _count_repositories(connection: "AnyConnection", counts: Mapping[str, EligibleCount]) -> int:
    """Return the newest number of all repositories; without a feature they are counted."""
    if not counts:
        counted: int = execute(connection, _SQL["repositories"]).scalar()
        return counted
    return newest_count(counts.values()).repositories


def _freeze(hold: Hold | None) -> FreezeStatus | None:
    return None if hold is None else FreezeStatus(hold.names, hold.until, hold.sentence)


def _approval(stored: Mapping[str, Any] | None) -> ApprovalStatus | None:
    if stored is None:
        return None
    summary = show_approval({"approval": stored})
    return ApprovalStatus(stored["approved_by"], stored.get("allowed"), summary)


def _health(found: Health) -> HealthStatus:
    return HealthStatus(
        found.judgement.verdict,
        found.judgement.reason,
        found.sentence,
        None if found.evidence is None else found.evidence.value,
    )
