"""Reading what `status` shows: what was applied last, and each feature's state and audience."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import text

from reconciler.database.queries import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("status")


@dataclass(frozen=True, slots=True)
class FeatureStatus:
    """One feature: what is asked for, and how many repositories get it."""

    name: str
    active: bool
    emergency_stop: bool
    strategy: str
    percentage: Decimal
    eligible: int
    whitelist: int
    exclusions: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """The rollout on one screen."""

    generation: int
    applied_commit: str | None
    applied_at: datetime | None
    repositories: int
    features: list[FeatureStatus]


def read_status(connection: "Connection", *, feature: str | None) -> Status:
    """Return the state of all features, or of the one named."""
    state = connection.execute(text(_SQL["state"])).one()
    features = connection.execute(text(_SQL["features"]), {"feature": feature})
    return Status(
        **state._mapping,  # noqa: SLF001
        repositories=connection.execute(text(_SQL["repositories"])).scalar_one(),
        features=[FeatureStatus(**row._mapping) for row in features],  # noqa: SLF001
    )
