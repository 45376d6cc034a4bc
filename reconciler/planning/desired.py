"""From the file's text to the desired state: names become keys, absent keys become their defaults."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from reconciler.planning.feature_config import FIELDS, Configuration, from_state
from reconciler.planning.live_state import Directory, names_among
from reconciler.rollout_file.model import Feature, Rollout
from rollout_client.targeting.categories import DEFAULT_THRESHOLDS, Category, Threshold


def desired_configuration(name: str, feature: Feature, directory: Directory) -> Configuration:
    """Return the configuration that a feature's part of the file declares, without its override."""
    declared = {field.name: field.declared(name, feature) for field in FIELDS}
    keys = {
        "whitelist": directory.keys(declared["whitelist"]),
        "exclusions": directory.excluded_keys(declared["exclusions"]),
    }
    return Configuration(**(declared | keys))


def with_excluded_names(
    desired: Configuration, feature: Feature, live: Configuration | None, directory: Directory
) -> Configuration:
    """Return a desired configuration whose exclusions hold ids and names (`Directory.excluded_names`).

    A name that is known again gives its place to the id that it has now.
    """
    excluded = frozenset[str]() if live is None else live.exclusions
    before = names_among(feature.exclusions, directory.remembered)
    names = directory.excluded_names(before, desired.exclusions, excluded)
    known = {name for name in names & directory.ids.keys() if directory.ids[name] not in excluded}
    return replace(desired, exclusions=desired.exclusions | (names - known))


def default_configuration(name: str) -> Configuration:
    """Return the configuration of a feature whose part of the file is empty."""
    return from_state(name, {})


def desired_thresholds(rollout: Rollout) -> Mapping[Category, Threshold]:
    """Return every category's threshold: the file's, or the default."""
    return {**DEFAULT_THRESHOLDS, **rollout.categories}


def stored_thresholds(stored: Mapping[str, Mapping[str, Any]]) -> Mapping[Category, Threshold]:
    """Return the thresholds that an apply stored; an absent one has its default."""
    return {
        category: replace(default, **_known(stored.get(category.value, {})))
        for category, default in DEFAULT_THRESHOLDS.items()
    }


def _known(threshold: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: threshold[each.name] for each in fields(Threshold) if each.name in threshold}


def desired_marks(rollout: Rollout, directory: Directory) -> frozenset[str]:
    """Return the ids of the known repositories that the file marks as test."""
    keys = directory.keys(rollout.test_repositories)
    patterns = frozenset[str]().union(*(directory.owned.get(key, ()) for key in keys))
    return patterns | (keys & directory.names.keys())
