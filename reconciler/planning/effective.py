"""From what people wrote to what applies: names become keys, defaults values, overrides limits."""

from collections.abc import Mapping

from reconciler.planning.configuration import Configuration
from reconciler.planning.live import Directory
from reconciler.rollout_file.model import Feature, Rollout
from reconciler.targeting.categories import DEFAULT_THRESHOLDS, Category, Threshold


def effective_configuration(name: str, feature: Feature, directory: Directory) -> Configuration:
    """Return the configuration that a feature's part of the file asks for, narrowed by its override."""
    override = feature.override
    percentage = feature.percentage
    if override is not None and override.percentage is not None:
        percentage = min(percentage, override.percentage)
    return Configuration(
        active=feature.active,
        emergency_stop=override is not None and override.emergency_stop is True,
        strategy=feature.strategy,
        percentage=percentage,
        salt=feature.salt or name,
        whitelist=directory.keys(feature.whitelist),
        exclusions=directory.keys(feature.exclusions),
        max_error_rate=feature.health.max_error_rate,
        min_jobs=feature.health.min_jobs,
        window=feature.health.window,
        auto_rollback=feature.health.auto_rollback,
        rollback_to=feature.health.rollback_to,
        description=feature.description,
    )


def effective_thresholds(rollout: Rollout) -> Mapping[Category, Threshold]:
    """Return every category's threshold: the file's where it has one, else the default."""
    return {**DEFAULT_THRESHOLDS, **rollout.categories}


def effective_marks(rollout: Rollout, directory: Directory) -> frozenset[str]:
    """Return the ids of the known repositories that the file marks as test."""
    keys = directory.keys(rollout.test_repositories)
    patterns = frozenset().union(*(directory.owned.get(key, frozenset()) for key in keys))
    return patterns | (keys & directory.names.keys())


def default_configuration(name: str) -> Configuration:
    """Return what a feature that says nothing asks for: every key absent, nobody in."""
    return effective_configuration(name, Feature(), Directory(ids={}, names={}, owned={}))
