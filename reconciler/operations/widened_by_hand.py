"""What SQL widened beside a feature's limit: a resume puts it back, or the limit's end would open it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.database.apply import restore_configuration
from reconciler.database.history import HistoryWriter
from reconciler.database.live_state import read_live
from reconciler.operations.measure import judge_drift
from reconciler.planning.drift import Drift
from reconciler.planning.feature_config import Configuration, Exposure
from reconciler.planning.override_actions import widened_by_hand
from reconciler.planning.plan_inputs import PlanInputs
from reconciler.planning.planner import feature_drift
from reconciler.rollout_file.model import Rollout

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection


def read_widened(
    connection: "AnyConnection", feature: str
) -> tuple[Configuration, tuple[Drift, ...]]:
    """Return a feature's live configuration, and the drift that a resume of it reverts.

    Reads the lists of all features, which a stop does not.
    """
    found = read_live(connection, Rollout(version=1))
    live = replace(found.live, features={feature: found.live.features[feature]})
    inputs = PlanInputs(live, found.applied)
    inputs = replace(inputs, audience=judge_drift(connection, inputs))
    drift = tuple(widened_by_hand(feature_drift(feature, inputs)))
    return live.features[feature].configuration, drift


def changed_by_act(live: Configuration, after: Exposure, drift: Sequence[Drift]) -> Configuration:
    """Return a feature's configuration after an act that reverts drift."""
    return replace(
        live,
        active=after.active,
        emergency_stop=after.emergency_stop,
        percentage=after.percentage,
        **{each.field.name: each.last_applied for each in drift},
    )


def write_reverted(
    connection: "AnyConnection",
    feature: str,
    configuration: Configuration,
    drift: Sequence[Drift],
    history: HistoryWriter,
) -> None:
    """Write a feature's configuration without drift; each field has its row of history, as in an apply."""
    restore_configuration(connection, feature, configuration)
    for each in drift:
        history.drift(feature, each)
