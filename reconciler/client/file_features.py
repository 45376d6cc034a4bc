"""Features of a `rollout.yaml`, as a client reads them after they are applied; for clients of tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.planning.desired import desired_configuration
from reconciler.planning.live_state import Directory
from reconciler.planning.overrides import narrow
from reconciler.planning.routing_shift import routing_of
from reconciler.rollout_file import read_rollout_file
from rollout_client.route import Routing
from rollout_client.targeting.eligibility import Repository, Targeting


@dataclass(frozen=True, slots=True)
class FileFeatures:
    """The features and marks that a file declares."""

    targetings: Mapping[str, Targeting]
    routings: Mapping[str, Routing]
    """The processors of jobs, and their rules; `cheapest` is the feature's processor."""
    limits: Mapping[str, int]
    """The `concurrency` of processors that have one."""
    test_keys: frozenset[str]
    """The keys of the repositories that are marked as test: ids, `owner/name`, `owner/*`."""


def read_features(path: Path, repositories: Mapping[str, Repository]) -> FileFeatures:
    """Return the features of a file, each under its override.

    Args:
        path: the file.
        repositories: the repositories that are known, by `owner/name` in lower case.

    Raises:
        ReconcilerError: The file cannot be read, or is not valid.
    """
    rollout = read_rollout_file(path).rollout
    directory = Directory(
        ids={key: each.id for key, each in repositories.items() if "/" in key}, names={}, owned={}
    )
    configurations = {
        name: narrow(desired_configuration(name, feature, directory), feature.override)
        for name, feature in rollout.features.items()
    }
    return FileFeatures(
        {name: each.targeting for name, each in configurations.items()},
        {name: routing_of(each) for name, each in configurations.items()},
        {
            name: each.concurrency
            for name, each in rollout.processors.items()
            if each.concurrency is not None
        },
        directory.keys(rollout.test_repositories),
    )
