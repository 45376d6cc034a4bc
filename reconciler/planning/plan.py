"""The plan: everything that one apply does, as values.

Made by `planner.make_plan`, counted by the database (blast radii are laid beside the features later),
shown by the command line and written by `database.applying`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self

from reconciler.planning.drift import Decision, Drift
from reconciler.planning.feature_config import (
    LIST_FIELDS,
    SCALAR_FIELDS,
    Configuration,
    ListField,
    ScalarField,
)
from reconciler.planning.guards import Allowed, Finding, GuardName
from reconciler.planning.live_state import Directory
from reconciler.planning.overrides import StoredOverride
from reconciler.rollout_file.model import Override
from reconciler.targeting.categories import Category, Threshold

_NO_ENTRIES: frozenset[str] = frozenset()


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
            _NO_ENTRIES if before is None else field.read(before),
            field.read(after),
            directory,
        )
        for field in LIST_FIELDS
    )
    return (*scalars, *(change for change in lists if len(change)))


def named(keys: Iterable[str], directory: Directory) -> Mapping[str, str]:
    """Return keys with what people call them, ordered by that."""
    return dict(sorted(((key, directory.name(key)) for key in keys), key=lambda item: item[1]))


def _list_change(
    field: ListField, before: frozenset[str], after: frozenset[str], directory: Directory
) -> ListChange:
    added, removed = after - before, before - after
    resolved = {key: directory.ids[key] for key in removed if directory.ids.get(key) in added}
    return ListChange(
        field=field,
        added=named(added.difference(resolved.values()), directory),
        removed=named(removed.difference(resolved), directory),
        resolved=named(resolved.values(), directory),
    )


MOST_OWNERS: Final = 10
MOST_SAMPLES: Final = 20


@dataclass(frozen=True, slots=True)
class Moved:
    """How many repositories of a group come and go."""

    gained: int
    lost: int


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """What a plan does to one feature's audience; numbers count repositories."""

    repositories: int
    """All that there are."""
    before: int
    after: int
    gained: int
    lost: int
    by_category: Mapping[Category, Moved]
    """By the category that each will have, in the order of `Category`, where any moves."""
    by_owner: Mapping[str, Moved]
    """The owners of the most that move, the most first, up to `MOST_OWNERS`."""
    sample_gained: tuple[str, ...]
    """Names, the most active first, up to `MOST_SAMPLES`."""
    sample_lost: tuple[str, ...]

    @property
    def moves(self) -> bool:
        """Whether anybody gains or loses the feature."""
        return bool(self.gained or self.lost)


class FeatureAction(StrEnum):
    """What an apply does to one feature."""

    CREATE = "create"
    UPDATE = "update"
    DEACTIVATE = "deactivate"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class OverridesPlan:
    """What becomes of a feature's overrides."""

    in_force: Override | None
    """The limit that the feature is under once the plan is applied."""
    kept: Override | None
    """A new one, made of drift that is kept; it is not in git yet."""
    written: tuple[StoredOverride, ...]
    """New and changed rows, as they are to be."""
    resumed: tuple[Override, ...]
    """Those that people removed from the file."""
    is_in_file: bool = False
    """Whether the file has the override in force."""


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """What happens to one feature: `before` is None where it is new."""

    name: str
    action: FeatureAction
    before: Configuration | None
    """As it is live."""
    desired: Configuration
    """As the file asks for it."""
    after: Configuration
    """The effective state: the desired one under the override in force."""
    changes: tuple[Change, ...]
    """From the live state without its reverted drift to the effective one."""
    unresolved: tuple[str, ...]
    overrides: OverridesPlan
    is_newly_desired: bool
    """Whether the last apply does not have this desired state, whether or not a change shows it."""
    drift: tuple[Drift, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    blast_radius: BlastRadius | None = None

    @property
    def change_count(self) -> int:
        """How many changes, as history counts them: a new feature is one."""
        if self.action is FeatureAction.CREATE:
            return 1
        return sum(map(len, self.recorded)) + len(self.drift) + len(self.overrides.resumed)

    @property
    def recorded(self) -> tuple[Change, ...]:
        """The changes that are a row of history by themselves: a resume has one row, whatever it lifts."""
        if not self.overrides.resumed:
            return self.changes
        return tuple(
            each
            for each in self.changes
            if not (isinstance(each, ScalarChange) and each.field.name == "emergency_stop")
        )

    @property
    def is_held(self) -> bool:
        """Whether there is drift that a person has to decide on."""
        return any(each.decision is Decision.HOLD for each in self.drift)


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
    names: Mapping[str, str]
    """What each name of the file means, `owner/name` in lower case → id: remembered with the apply."""
    has_new_names: bool = False
    """Whether one of them means something that the last apply does not remember."""
    allowed: frozenset[Allowed] = frozenset()
    """The guards that the person applying, or a commit, allows by name."""

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
        """Whether there is anything that people would call a change."""
        return self.change_count > 0

    @property
    def makes_generation(self) -> bool:
        """Whether an apply stores this as a generation.

        It does for a change, for a new state of an override, for a new desired state, and for a name
        that means another repository: the next plan finds drift and renames by what is stored, and a
        resume before it finds the desired state there.
        """
        return (
            self.has_changes
            or self.has_new_names
            or any(each.overrides.written or each.is_newly_desired for each in self.features)
        )

    @property
    def next_generation(self) -> int:
        """The newest generation once this plan is applied."""
        return self.generation + 1 if self.makes_generation else self.generation

    @property
    def refusing(self) -> tuple[tuple[str, Finding], ...]:
        """The findings that are not allowed, each with its feature's name."""
        return tuple(
            (feature.name, finding)
            for feature in self.features
            for finding in feature.findings
            if finding.guard not in self.allowed_for(feature.name)
        )

    @property
    def held(self) -> tuple[str, ...]:
        """The features whose drift a person has to decide on."""
        return tuple(feature.name for feature in self.features if feature.is_held)

    @property
    def is_refused(self) -> bool:
        """Whether an apply writes nothing until a person decides."""
        return bool(self.refusing or self.held)

    def allowed_for(self, feature: str) -> Mapping[GuardName, Allowed]:
        """Return the guards that are allowed for a feature, each with what allows it."""
        counting = (each for each in self.allowed if each.feature in {None, feature})
        return {each.guard: each for each in sorted(counting, key=lambda each: each.commit or "")}

    def allowing(self, guards: frozenset[Allowed], notes: tuple[str, ...] = ()) -> Self:
        """Return this plan with guards allowed by name; `notes` warn the features that are still refused."""
        allowing = replace(self, allowed=guards)
        refused = {name for name, _ in allowing.refusing}
        features = tuple(
            replace(each, warnings=(*each.warnings, *notes)) if each.name in refused else each
            for each in self.features
        )
        return replace(allowing, features=features)
