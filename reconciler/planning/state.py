"""A configuration as JSON, and back: what history and generations keep of it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from reconciler.planning.feature_config import Configuration
from reconciler.planning.fields import LIST_FIELDS, SCALAR_FIELDS
from reconciler.planning.plain import plain
from reconciler.rollout_file.durations import parse_duration
from reconciler.targeting.strategy import Strategy


def to_state(configuration: Configuration) -> dict[str, Any]:
    """Return a configuration by the names of its fields; lists are sorted."""
    return {
        **{field.name: plain(field.read(configuration)) for field in SCALAR_FIELDS},
        **{field.name: sorted(field.read(configuration)) for field in LIST_FIELDS},
    }


def from_state(state: Mapping[str, Any]) -> Configuration:
    """Return the configuration that `to_state` made this of."""
    return Configuration(
        active=state["active"],
        emergency_stop=state["emergency_stop"],
        strategy=Strategy(state["strategy"]),
        percentage=Decimal(str(state["percentage"])),
        salt=state["salt"],
        whitelist=frozenset(state["whitelist"]),
        exclusions=frozenset(state["exclusions"]),
        max_error_rate=Decimal(str(state["max_error_rate"])),
        min_jobs=state["min_jobs"],
        window=parse_duration(state["window"]),
        auto_rollback=state["auto_rollback"],
        rollback_to=Decimal(str(state["rollback_to"])),
        description=state["description"],
    )
