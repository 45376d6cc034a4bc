"""The stages of a feature with their dates, and its evidence over time, for charts.

Reads in the caller's transaction and writes nothing.
"""

import json
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import text

from reconciler.database.health import read_evidence_steps, read_soaking
from reconciler.database.queries import queries
from reconciler.errors import NotFound
from reconciler.planning.evidence_series import EvidenceSeries, evidence_series
from reconciler.planning.promotion import current_stage
from reconciler.planning.stage_dates import StageDate, list_stage_dates
from reconciler.rollout_file.model import Stage

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("stages")


def read_stage_dates(connection: "Connection", feature: str) -> tuple[StageDate, ...]:
    """Return the stages of a feature as the last applied file has them; none without a progression.

    Raises:
        NotFound: no feature has this name.
    """
    row = connection.execute(text(_SQL["progression"]), {"feature": feature}).one_or_none()
    if row is None:
        raise NotFound(f"no feature is called {feature}")
    # As text, because a percentage is no float.
    stages = json.loads(row.stages or "[]", parse_float=Decimal)
    progression = tuple(Stage.model_validate(each) for each in stages)
    percentage = Decimal(row.percentage)
    current = current_stage(progression, percentage)
    soaking = None
    if row.is_soaking and current is not None:
        soaking = read_soaking(connection, feature, current.percentage)
    return list_stage_dates(progression, percentage, soaking, row.now)


def read_evidence_series(connection: "Connection", feature: str) -> EvidenceSeries | None:
    """Return the evidence of a feature over time; None under the method `threshold`.

    Raises:
        NotFound: no feature has this name.
    """
    health, steps = read_evidence_steps(connection, feature)
    if health.evidence is None:
        return None
    began_at = connection.execute(text(_SQL["began_at"]), {"feature": feature}).scalar_one()
    return evidence_series(
        began_at, steps, health.evidence, health.limits.evidence, health.period.now
    )
