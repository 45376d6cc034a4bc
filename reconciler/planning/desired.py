"""From what people wrote to what applies: names become keys, absent keys become their defaults."""

from collections.abc import Mapping

from reconciler.planning.feature_config import Configuration
from reconciler.planning.live_state import Directory
from reconciler.rollout_file.model import Feature, Rollout
from reconciler.targeting.categories import DEFAULT_THRESHOLDS, Category, Threshold


def desired_configuration(name: str, feature: Feature, directory: Directory) -> Configuration:
    """Return the configuration that a feature's part of the file asks for, its override aside."""
    return Configuration(
        active=feature.active,
        emergency_stop=False,
        strategy=feature.strategy,
        percentage=feature.percentage,
        salt=feature.salt_or(name),
        whitelist=directory.keys(feature.whitelist),
        exclusions=directory.keys(feature.exclusions),
        max_error_rate=feature.health.max_error_rate,
        min_jobs=feature.health.min_jobs,
        window=feature.health.window,
        auto_rollback=feature.health.auto_rollback,
        rollback_to=feature.health.rollback_to,
        description=feature.description,
    )


def default_configuration(name: str) -> Configuration:
    """Return what a feature that says nothing asks for: every key absent, nobody in."""
    return desired_configuration(name, Feature(), Directory(ids={}, names={}, owned={}))


def desired_thresholds(rollout: Rollout) -> Mapping[Category, Threshold]:
    """Return every category's threshold: the file's where it has one, else the default."""
    return {**DEFAULT_THRESHOLDS, **rollout.categories}


def desired_marks(rollout: Rollout, directory: Directory) -> frozenset[str]:
    """Return the ids of the known repositories that the file marks as test."""
    keys = directory.keys(rollout.test_repositories)
    patterns = frozenset[str]().union(*(directory.owned.get(key, ()) for key in keys))
    return patterns | (keys & directory.names.keys())
