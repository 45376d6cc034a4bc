"""The stages of a feature with their dates, and its evidence over time, for charts.

Reads in the caller's transaction and writes nothing.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from reconciler.database.driver import execute
from reconciler.database.freezes import read_applied_freezes
from reconciler.database.health import read_evidence_steps, read_soaking
from reconciler.database.queries import queries
from reconciler.errors import NotFound
from reconciler.planning.evidence_series import EvidenceSeries, evidence_series
from reconciler.planning.freezes import of_feature
from reconciler.planning.health import Verdict
from reconciler.planning.stage_dates import StageDate, earliest_begin, list_stage_dates
from reconciler.planning.stages import current_stage, next_stage
from reconciler.rollout_file.model import Stage

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("stages")


def read_stage_dates(connection: "AnyConnection", feature: str) -> tuple[StageDate, ...]:
    """Return the stages of a feature as the last applied file has them; none without a progression.

    Raises:
        NotFound: no feature has this name.
    """
    row = execute(connection, _SQL["progression"], {"feature": feature}).one_or_none()
    if row is None:
        raise NotFound(f"no feature is called {feature}")
    progression, percentage = _progression(row), Decimal(row.percentage)
    current = current_stage(progression, percentage)
    soaking = None
    if row.is_soaking and current is not None:
        soaking = read_soaking(connection, feature, current.percentage)
    freezes = of_feature(read_applied_freezes(connection).freezes, feature)
    return list_stage_dates(progression, percentage, soaking, row.now, freezes)


@dataclass(frozen=True, slots=True)
class ReadyPromotion:
    """A feature whose next stage may come, by the last applied file."""

    feature: str
    percentage: Decimal
    next_percentage: Decimal
    since: datetime | None
    """When the soak of its stage ended; None before the first stage."""


def read_ready_promotions(connection: "AnyConnection") -> Iterator[ReadyPromotion]:
    """Yield the features whose stage has soaked with a passing verdict and whose next one may begin, by name.

    `promote` plans the file and can find further missing conditions.
    """
    applied = read_applied_freezes(connection)
    for row in execute(connection, _SQL["progression"], {"feature": None}).all():
        progression, percentage = _progression(row), Decimal(row.percentage)
        following = next_stage(progression, percentage)
        if following is None or not row.is_soaking:
            continue
        freezes = of_feature(applied.freezes, row.feature)
        if earliest_begin(following, applied.now, freezes) > applied.now:
            continue
        current = current_stage(progression, percentage)
        if current is None:
            yield ReadyPromotion(row.feature, percentage, following.percentage, None)
            continue
        soaking = read_soaking(connection, row.feature, current.percentage)
        if soaking.is_over(current.soak) and soaking.health.judgement.verdict is Verdict.PASS:
            since = soaking.reached_at + soaking.inactive_for + current.soak
            yield ReadyPromotion(row.feature, percentage, following.percentage, since)


def _progression(row: "Any") -> tuple[Stage, ...]:
    # As text, because a percentage is not a float.
    stages = json.loads(row.stages or "[]", parse_float=Decimal)
    return tuple(Stage.model_validate(each) for each in stages)


def read_evidence_series(connection: "AnyConnection", feature: str) -> EvidenceSeries | None:
    """Return the evidence of a feature over time; None under the method `threshold`.

    Raises:
        NotFound: no feature has this name.
    """
    health, steps = read_evidence_steps(connection, feature)
    if health.evidence is None:
        return None
    began_at = execute(connection, _SQL["began_at"], {"feature": feature}).scalar()
    return evidence_series(
        began_at, steps, health.evidence, health.limits.evidence, health.period.now
    )
