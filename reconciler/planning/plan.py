"""The plan: everything that one apply does, as values.

`planner.make_plan` makes it, the database adds the blast radius of each feature, the command line
prints it, and `database.apply` writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from reconciler.planning.approval_rule import ApprovalsPlan
from reconciler.planning.blast_radius import BlastRadius
from reconciler.planning.changes import Change, ScalarChange, widens
from reconciler.planning.drift import Decision, Drift
from reconciler.planning.feature_config import Configuration
from reconciler.planning.freezes import FreezesPlan, Hold, OverriddenFreeze
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.guards import Finding
from reconciler.planning.notifications import TargetsPlan
from reconciler.planning.overrides import EditedLimit, StoredOverride
from reconciler.planning.processors import ProcessorsPlan
from reconciler.rollout_file.override import Override
from rollout_client.targeting.categories import Category, Threshold

if TYPE_CHECKING:
    from reconciler.planning.approval_evidence import Approver
    from reconciler.planning.routing_shift import RoutingShift


class FeatureAction(StrEnum):
    """The effect of an apply on one feature."""

    CREATE = "create"
    UPDATE = "update"
    DEACTIVATE = "deactivate"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class OverridesPlan:
    """The effect of a plan on a feature's overrides."""

    in_force: Override | None
    """The limit of the feature after the apply."""
    kept: Override | None
    """A new override that keeps drift; it is not in git yet."""
    written: tuple[StoredOverride, ...]
    """New and changed rows."""
    resumed: tuple[Override, ...]
    """Overrides that people removed from the file."""
    is_in_file: bool = False
    """Whether the file has the override in force."""
    edited: tuple[EditedLimit, ...] = ()
    """The limits that people changed in the file."""

    @property
    def moved(self) -> bool:
        """Whether people removed an override from the file, or changed its limit there."""
        return bool(self.resumed or self.edited)


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """The plan for one feature; `before` is None for a new one."""

    name: str
    action: FeatureAction
    before: Configuration | None
    """The live configuration."""
    desired: Configuration
    """The configuration in the file."""
    after: Configuration
    """The effective state: the desired one under the override in force."""
    changes: tuple[Change, ...]
    """From the live state without its reverted drift to the effective one."""
    unresolved: tuple[str, ...]
    overrides: OverridesPlan
    is_newly_desired: bool
    """Whether the last apply has another desired state, even without a change of the live state."""
    drift: tuple[Drift, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    blast_radius: BlastRadius | None = None
    hold: Hold | None = None
    """The freezes that hold the feature now."""
    needs_approval: bool = False
    """Whether it widens under a rule of approvals."""
    approvers: "tuple[Approver, ...]" = ()
    """The people who approved that."""

    @property
    def widens(self) -> bool:
        """Whether repositories gain the feature, or may: by a changed value or entry, or as counted."""
        if self.after.targeting.off_rule is not None:
            return False
        if self.blast_radius is not None and self.blast_radius.gained:
            return True
        return any(widens(each, self.after) for each in self.changes)

    routing_shift: "RoutingShift | None" = None
    """The jobs of the last day that a change of the rules would have moved."""

    @property
    def change_count(self) -> int:
        """The number of changes as the history counts them: a new feature is one."""
        if self.action is FeatureAction.CREATE:
            return 1
        return (
            sum(map(len, self.recorded))
            + len(self.drift)
            + len(self.overrides.resumed)
            + len(self.edited_limits)
        )

    @property
    def edited_limits(self) -> tuple[EditedLimit, ...]:
        """The changed limits that no change of the percentage or of the stop shows."""
        is_shown = any(
            isinstance(each, ScalarChange) and each.field.name in {"percentage", "emergency_stop"}
            for each in self.changes
        )
        return () if is_shown else self.overrides.edited

    @property
    def recorded(self) -> tuple[Change, ...]:
        """The changes with their own rows of history: a resume has one row for all its changes."""
        if not self.overrides.resumed:
            return self.changes
        return tuple(
            each
            for each in self.changes
            if not (isinstance(each, ScalarChange) and each.field.name == "emergency_stop")
        )

    @property
    def is_held(self) -> bool:
        """Whether a person must decide about drift."""
        return any(each.decision is Decision.HOLD for each in self.drift)


@dataclass(frozen=True, slots=True)
class MarksPlan:
    """Repositories that become marked as test and that lose the mark: id → name, ordered by name."""

    marked: frozenset[str]
    """The ids of all marked repositories after the apply."""
    added: Mapping[str, str]
    removed: Mapping[str, str]
    unresolved: tuple[str, ...]
    reverted: Mapping[str, str] = field(default_factory=dict)
    """Those of them that undo a change by SQL."""
    adopted_added: Mapping[str, str] = field(default_factory=dict)
    """Set by SQL, and by now in the file too."""
    adopted_removed: Mapping[str, str] = field(default_factory=dict)
    """Removed by SQL, and by now not in the file either."""

    def __len__(self) -> int:
        return (
            len(self.added)
            + len(self.removed)
            + len(self.adopted_added)
            + len(self.adopted_removed)
        )


@dataclass(frozen=True, slots=True)
class CategoriesPlan:
    """The thresholds before and after; if they differ, every repository is categorised again."""

    before: Mapping[Category, Threshold]
    after: Mapping[Category, Threshold]

    @property
    def changed(self) -> tuple[Category, ...]:
        """The categories with another threshold."""
        return tuple(each for each in Category if self.before[each] != self.after[each])


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one apply does."""

    generation: int
    """The newest generation when the plan was made."""
    applied_commit: str | None
    features: tuple[FeaturePlan, ...]
    test_repositories: MarksPlan
    categories: CategoriesPlan
    names: Mapping[str, str]
    """The repository of each name in the file, `owner/name` in lower case → id; stored with the apply."""
    has_new_names: bool = False
    """Whether a name has another repository than the last apply stored."""
    notifications: TargetsPlan = field(default_factory=TargetsPlan)
    """What changes about the receivers of notifications."""
    freezes: FreezesPlan = field(default_factory=FreezesPlan)
    """What changes about the freezes."""
    processors: ProcessorsPlan = field(default_factory=ProcessorsPlan)
    """What changes about the prices of processors."""
    approvals: ApprovalsPlan = field(default_factory=ApprovalsPlan)
    """What changes about the rule of approvals, under the name `rule`."""
    rule_findings: tuple[Finding, ...] = ()
    """The missing approvals of the rule itself, and of the files that say who may approve."""
    rule_approvers: "tuple[Approver, ...]" = ()
    """The people who approved that."""
    approved: Mapping[str, Any] = field(default_factory=dict)
    """By feature: who approved its last widening before this plan, as JSON."""
    allowed: frozenset[Allowed] = frozenset()
    """The guards that the person who applies, or a commit, allows by name."""

    @property
    def change_count(self) -> int:
        """The number of changes as the history counts them."""
        return (
            sum(feature.change_count for feature in self.features)
            + len(self.test_repositories)
            + len(self.categories.changed)
            + len(self.notifications)
            + len(self.freezes)
            + len(self.processors)
            + len(self.approvals)
        )

    @property
    def has_changes(self) -> bool:
        """Whether the plan has anything that people would call a change."""
        return self.change_count > 0

    @property
    def makes_generation(self) -> bool:
        """Whether an apply stores this plan as a generation.

        It does so for a change, for a new state of an override, for a new desired state, and for a
        name with another repository. The next plan finds drift and renames from the stored state,
        and a resume before the next plan finds the desired state there.
        """
        return (
            self.has_changes
            or self.has_new_names
            or any(each.overrides.written or each.is_newly_desired for each in self.features)
        )

    @property
    def next_generation(self) -> int:
        """The newest generation after this plan is applied."""
        return self.generation + 1 if self.makes_generation else self.generation

    @property
    def refusing(self) -> tuple[tuple[str, Finding], ...]:
        """The findings that are not allowed, each with its feature's name."""
        return (
            *(
                (feature.name, finding)
                for feature in self.features
                for finding in feature.findings
                if finding.guard not in self.allowed_for(feature.name)
            ),
            *(
                ("approvals", finding)
                for finding in self.rule_findings
                if finding.guard not in self.allowed_for_all
            ),
        )

    @property
    def refusal(self) -> str:
        """Return the open decisions of a person, in a sentence for each feature."""
        findings = [
            f"{name}: {finding.message} ({finding.guard})" for name, finding in self.refusing
        ]
        held = [
            f"{name}: its live state was narrowed by hand; see reconcile drift"
            for name in self.held
        ]
        return "; ".join([*findings, *held])

    @property
    def allowed_at(self) -> datetime | None:
        """The time from which an apply of the same file is allowed; None if more than time is missing."""
        times = [finding.holds_at for _, finding in self.refusing]
        known = [each for each in times if each is not None]
        return max(known) if known and len(known) == len(times) and not self.held else None

    def overridden_freeze(self, feature: FeaturePlan) -> OverriddenFreeze | None:
        """Return the freeze that a person lets this plan go through, of a feature that it holds."""
        allowed = self.allowed_for(feature.name).get(GuardName.FREEZE)
        if allowed is None or feature.hold is None or not feature.widens:
            return None
        return OverriddenFreeze(feature.hold, allowed.reason or "")

    @property
    def held(self) -> tuple[str, ...]:
        """The features with drift about which a person must decide."""
        return tuple(feature.name for feature in self.features if feature.is_held)

    @property
    def is_refused(self) -> bool:
        """Whether an apply writes nothing until a person decides."""
        return bool(self.refusing or self.held)

    @property
    def only_waits(self) -> bool:
        """Whether a later apply of the same file may be allowed without a person."""
        return not self.held and all(finding.is_temporary for _, finding in self.refusing)

    @property
    def allowed_for_all(self) -> Mapping[GuardName, Allowed]:
        """The guards that the person who applies allows for everything in the file."""
        return {each.guard: each for each in self.allowed if each.feature is None}

    def allowed_for(self, feature: str) -> Mapping[GuardName, Allowed]:
        """Return the guards that are allowed for a feature, each with the commit or person that allows it."""
        counting = (each for each in self.allowed if each.feature in {None, feature})
        return {each.guard: each for each in sorted(counting, key=lambda each: each.commit or "")}

    def allowing(self, guards: frozenset[Allowed], notes: tuple[str, ...] = ()) -> Self:
        """Return this plan with guards allowed by name; `notes` become warnings of features still refused."""
        allowing = replace(self, allowed=guards)
        refused = {name for name, _ in allowing.refusing}
        features = tuple(
            replace(each, warnings=(*each.warnings, *notes)) if each.name in refused else each
            for each in self.features
        )
        return replace(allowing, features=features)
