"""The screen *Cost*: what the jobs of a feature cost, and what they would have cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.database.cost import read_cost
from reconciler.database.names import read_feature_names
from reconciler.errors import NotFound
from reconciler.planning.cost import SHOWN_PERIOD, CostReport

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection


@dataclass(frozen=True, slots=True)
class CostScreen:
    """The cost of one feature, and the features to choose from."""

    features: Sequence[str]
    since: datetime
    report: CostReport | None
    """None without a feature."""


def read_cost_screen(connection: "AnyConnection", feature: str, now: datetime) -> CostScreen:
    """Return the cost of a feature's jobs in the last 30 days; an empty name is the first feature.

    Raises:
        NotFound: no feature has this name.
    """
    features = sorted(read_feature_names(connection))
    if feature and feature not in features:
        raise NotFound(f"no feature is called {feature}")
    chosen = feature or next(iter(features), None)
    report = None if chosen is None else read_cost(connection, chosen, now - SHOWN_PERIOD)
    return CostScreen(features, now - SHOWN_PERIOD, report)
