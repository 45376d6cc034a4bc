"""The subjects of approvals: a feature, the rule itself, and the files that say who may approve.

A subject says which changes of the files concern it, and whether people saw exactly the change that was
merged.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.planning.changes import Change, ScalarChange, configuration_changes, widens
from reconciler.planning.desired import desired_configuration
from reconciler.planning.feature_config import Configuration
from reconciler.planning.field_types import Direction
from reconciler.planning.live_state import Directory
from reconciler.planning.overrides import is_narrower
from reconciler.rollout_file.model import Feature, Rollout
from reconciler.rollout_file.override import Override

_NAMES: Final = Directory(ids={}, names={}, owned={})
"""Every name is its own key."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files that decide about approvals, at one commit."""

    rollout: Rollout | None
    """None if the file is missing or not valid."""
    others: Mapping[str, bytes | None] = field(default_factory=dict)
    """The files that say who may approve, by path."""


@dataclass(frozen=True, slots=True)
class FilesChange:
    """The files before and after a change."""

    before: Files
    after: Files


class Subject(ABC):
    """Something that needs approvals."""

    __slots__ = ()

    @abstractmethod
    def concerns(self, change: FilesChange) -> bool:
        """Return whether a change of the files may need approvals for this subject."""

    @abstractmethod
    def is_same(self, files: Files, others: Files) -> bool:
        """Return whether the subject is the same in both, so that who approved one approved the other."""

    def is_reviewed(self, reviewed: FilesChange, merged: FilesChange) -> bool:
        """Return whether a reviewed change is exactly the merged one."""
        return self.is_same(reviewed.before, merged.before) and self.is_same(
            reviewed.after, merged.after
        )


@dataclass(frozen=True, slots=True)
class OfFeature(Subject):
    """The audience of a feature."""

    name: str

    def concerns(self, change: FilesChange) -> bool:
        """Return whether repositories may gain the feature by the change, now or after a resume."""
        before, after = change.before.rollout, change.after.rollout
        if before is None or after is None:
            return before is not after
        feature, previous = after.features.get(self.name), before.features.get(self.name)
        if feature is None or not feature.active:
            return False
        return (
            _of_all_features(before) != _of_all_features(after)
            or previous is None
            or may_widen(
                desired_configuration(self.name, previous, _NAMES),
                desired_configuration(self.name, feature, _NAMES),
                _NAMES,
            )
            or is_wider(feature.override, previous.override)
        )

    def is_same(self, files: Files, others: Files) -> bool:
        """Return whether both declare the same audience, apart from an override."""
        found, other = files.rollout, others.rollout
        return (
            found is not None
            and other is not None
            and self._declared(found) == self._declared(other)
            and _of_all_features(found) == _of_all_features(other)
        )

    def is_reviewed(self, reviewed: FilesChange, merged: FilesChange) -> bool:
        """Return whether a reviewed change is exactly the merged one, which may be limited more.

        An override that write-back adds meanwhile only narrows; its removal must have been reviewed.
        """
        if not (
            self.is_same(reviewed.before, merged.before)
            and self.is_same(reviewed.after, merged.after)
        ):
            return False
        before, after = self._override(merged.before), self._override(merged.after)
        if before is not None and after != before:
            return (before, after) == (
                self._override(reviewed.before),
                self._override(reviewed.after),
            )
        return not is_wider(after, self._override(reviewed.after))

    def _declared(self, rollout: Rollout) -> Feature | None:
        feature = rollout.features.get(self.name)
        return None if feature is None else feature.model_copy(update={"override": None})

    def _override(self, files: Files) -> Override | None:
        feature = None if files.rollout is None else files.rollout.features.get(self.name)
        return None if feature is None else feature.override


@dataclass(frozen=True, slots=True)
class OfRule(Subject):
    """The rule of approvals itself."""

    def concerns(self, change: FilesChange) -> bool:
        """Return whether the change loosens the rule."""
        before, after = change.before.rollout, change.after.rollout
        if before is None or after is None:
            return before is not after
        return before.approvals is not None and before.approvals.is_loosened_by(after.approvals)

    def is_same(self, files: Files, others: Files) -> bool:
        """Return whether both have the same rule."""
        found, other = files.rollout, others.rollout
        return found is not None and other is not None and found.approvals == other.approvals


@dataclass(frozen=True, slots=True)
class OfFile(Subject):
    """A file that says who may approve."""

    path: str

    def concerns(self, change: FilesChange) -> bool:
        """Return whether the change changes the file."""
        return not self.is_same(change.before, change.after)

    def is_same(self, files: Files, others: Files) -> bool:
        """Return whether both have the same content."""
        return files.others.get(self.path) == others.others.get(self.path)


def may_widen(before: Configuration | None, after: Configuration, directory: Directory) -> bool:
    """Return whether repositories may gain a feature by a change of what the file declares."""
    return any(
        widens(each, after) or is_by_audience(each)
        for each in configuration_changes(before, after, directory)
    )


def is_by_audience(change: Change) -> bool:
    """Return whether only the audience shows the direction of a change."""
    return (
        isinstance(change, ScalarChange)
        and change.before is not None
        and change.field.direction(change.before, change.after) is Direction.BY_AUDIENCE
    )


def is_wider(override: Override | None, other: Override | None) -> bool:
    """Return whether a limit is wider than another one; None is the absence of a limit, the widest."""
    if other is None:
        return False
    return override is None or is_narrower(other, override)


def _of_all_features(rollout: Rollout) -> object:
    return rollout.categories, frozenset(rollout.test_repositories)
