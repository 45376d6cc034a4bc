"""The plan: what an apply will change, decided from the file and the live state alone.

`make_plan` is the one place where a difference becomes a change. Nothing here reads a clock, a file or a
database; blast radii, which only the database can count, are laid beside the plan's features later.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reconciler.planning.blast_radius import BlastRadius
from reconciler.planning.configuration import Configuration
from reconciler.planning.effective import (
    effective_configuration,
    effective_marks,
    effective_thresholds,
)
from reconciler.planning.fields import LIST_FIELDS, SCALAR_FIELDS, ListField, ScalarField
from reconciler.planning.live import Directory, Live
from reconciler.planning.warnings import feature_warnings
from reconciler.rollout_file.model import Override, Rollout
from reconciler.targeting.categories import Category, Threshold


class FeatureAction(StrEnum):
    """What an apply does to one feature."""

    CREATE = "create"
    UPDATE = "update"
    DEACTIVATE = "deactivate"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ScalarChange:
    """One value changes; `before` is None where the feature is new."""

    field: ScalarField
    before: Any
    after: Any

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class ListChange:
    """Entries come and go; each is a change of its own. Maps are key → name, ordered by name."""

    field: ListField
    added: Mapping[str, str]
    removed: Mapping[str, str]
    resolved: Mapping[str, str]
    """Names that the database did not know at the last apply and knows now: id → name."""

    def __len__(self) -> int:
        return len(self.added) + len(self.removed) + len(self.resolved)


Change = ScalarChange | ListChange


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """What happens to one feature: `before` is None where it is new."""

    name: str
    action: FeatureAction
    before: Configuration | None
    after: Configuration
    changes: tuple[Change, ...]
    unresolved: tuple[str, ...]
    override: Override | None
    warnings: tuple[str, ...]
    blast_radius: BlastRadius | None = None

    @property
    def change_count(self) -> int:
        """How many changes, as history counts them: a new feature is one."""
        return 1 if self.action is FeatureAction.CREATE else sum(map(len, self.changes))


@dataclass(frozen=True, slots=True)
class MarksPlan:
    """Which repositories are marked as test and which no longer are: id → name, ordered by name."""

    marked: frozenset[str]
    """The ids of all that are marked once the plan is applied."""
    added: Mapping[str, str]
    removed: Mapping[str, str]
    unresolved: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.added) + len(self.removed)


@dataclass(frozen=True, slots=True)
class CategoriesPlan:
    """The thresholds before and after; where they differ, every repository is categorised again."""

    before: Mapping[Category, Threshold]
    after: Mapping[Category, Threshold]

    @property
    def changed(self) -> tuple[Category, ...]:
        """The categories whose threshold moves."""
        return tuple(each for each in Category if self.before[each] != self.after[each])


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one apply does."""

    generation: int
    """The newest generation that it was planned against."""
    applied_commit: str | None
    features: tuple[FeaturePlan, ...]
    test_repositories: MarksPlan
    categories: CategoriesPlan

    @property
    def change_count(self) -> int:
        """How many changes, as history counts them."""
        return (
            sum(feature.change_count for feature in self.features)
            + len(self.test_repositories)
            + len(self.categories.changed)
        )

    @property
    def has_changes(self) -> bool:
        """Tell whether an apply would write anything but the commit."""
        return self.change_count > 0

    @property
    def next_generation(self) -> int:
        """The newest generation once this plan is applied."""
        return self.generation + 1 if self.has_changes else self.generation


def make_plan(rollout: Rollout, live: Live) -> Plan:
    """Compare the desired state with the live one.

    Features come in the file's order, then those that the file no longer has, which are deactivated.
    """
    return Plan(
        generation=live.generation,
        applied_commit=live.applied_commit,
        features=tuple(_feature_plans(rollout, live)),
        test_repositories=_marks_plan(rollout, live),
        categories=CategoriesPlan(before=live.thresholds, after=effective_thresholds(rollout)),
    )


def _feature_plans(rollout: Rollout, live: Live) -> Iterator[FeaturePlan]:
    for name, feature in rollout.features.items():
        before = live.features.get(name)
        after = effective_configuration(name, feature, live.directory)
        changes = configuration_changes(before, after, live.directory)
        yield FeaturePlan(
            name=name,
            action=_action(before, changes),
            before=before,
            after=after,
            changes=changes,
            unresolved=_unresolved((*feature.whitelist, *feature.exclusions), live.directory),
            override=feature.override,
            warnings=feature_warnings(before, after),
        )
    for name, before in live.features.items():
        if name not in rollout.features and before.active:
            after = before.deactivated()
            yield FeaturePlan(
                name=name,
                action=FeatureAction.DEACTIVATE,
                before=before,
                after=after,
                changes=configuration_changes(before, after, live.directory),
                unresolved=(),
                override=None,
                warnings=(),
            )


def _action(before: Configuration | None, changes: tuple[Change, ...]) -> FeatureAction:
    if before is None:
        return FeatureAction.CREATE
    return FeatureAction.UPDATE if changes else FeatureAction.NONE


def configuration_changes(
    before: Configuration | None, after: Configuration, directory: Directory
) -> tuple[Change, ...]:
    """Return what differs, field by field, in the order of the tables of fields."""
    scalars = (
        ScalarChange(field, None if before is None else field.read(before), field.read(after))
        for field in SCALAR_FIELDS
        if before is None or field.read(before) != field.read(after)
    )
    lists = (
        _list_change(
            field,
            frozenset() if before is None else field.read(before),
            field.read(after),
            directory,
        )
        for field in LIST_FIELDS
    )
    return (*scalars, *(change for change in lists if len(change)))


def _list_change(
    field: ListField, before: frozenset[str], after: frozenset[str], directory: Directory
) -> ListChange:
    added, removed = after - before, before - after
    resolved = frozenset(directory.ids[key] for key in removed if directory.ids.get(key) in added)
    arrived = frozenset(key for key in removed if directory.ids.get(key) in resolved)
    return ListChange(
        field=field,
        added=_named(added - resolved, directory),
        removed=_named(removed - arrived, directory),
        resolved=_named(resolved, directory),
    )


def _marks_plan(rollout: Rollout, live: Live) -> MarksPlan:
    marks = effective_marks(rollout, live.directory)
    return MarksPlan(
        marked=marks,
        added=_named(marks - live.marked, live.directory),
        removed=_named(live.marked - marks, live.directory),
        unresolved=_unresolved(rollout.test_repositories, live.directory),
    )


def _named(keys: frozenset[str], directory: Directory) -> Mapping[str, str]:
    return dict(sorted(((key, directory.name(key)) for key in keys), key=lambda item: item[1]))


def _unresolved(entries: tuple[str, ...], directory: Directory) -> tuple[str, ...]:
    keyed = ((entry, directory.key(entry)) for entry in entries)
    return tuple(sorted(entry for entry, key in keyed if not directory.is_resolved(key)))
