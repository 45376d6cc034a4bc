"""Features of a `rollout.yaml`, as a client reads them after they are applied; for clients of tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.planning.desired import desired_configuration
from reconciler.planning.live_state import Directory
from reconciler.planning.overrides import narrow
from reconciler.rollout_file import read_rollout_file
from rollout_client.targeting.eligibility import Repository, Targeting


@dataclass(frozen=True, slots=True)
class FileFeatures:
    """The features and marks that a file declares."""

    targetings: Mapping[str, Targeting]
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
    return FileFeatures(
        {
            name: narrow(
                desired_configuration(name, feature, directory), feature.override
            ).targeting
            for name, feature in rollout.features.items()
        },
        directory.keys(rollout.test_repositories),
    )
