"""Approvals: what a plan needs, who gave them, and the guard that asks for the missing ones.

The rule is that of the last applied file, so no change loosens its own rule. A change needs approvals if it
widens an audience, loosens the rule, or changes who may approve. A change that narrows needs none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar, Protocol

from reconciler.planning.approval_evidence import Approver, Evidence, Judged, Needed
from reconciler.planning.approval_subjects import (
    OfFeature,
    OfFile,
    OfRule,
    is_by_audience,
    is_wider,
    may_widen,
)
from reconciler.planning.changes import configuration_changes, widens
from reconciler.planning.desired import desired_configuration
from reconciler.planning.feature_context import FeatureContext
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.guards import Finding
from reconciler.planning.plan import FeaturePlan, Plan
from reconciler.planning.plan_inputs import PlanInputs, Source
from reconciler.rollout_file.model import Rollout
from rollout_client.targeting.strategy import Strategy


class ApprovalSource(Protocol):
    """Where approvals are proved."""

    def read_evidence(self, source: Source, base: str | None, *, with_owners: bool) -> Evidence:
        """Return the proofs for the changes after the commit `base` up to the source's commit.

        Raises:
            Unavailable: the forge does not answer.
            ReconcilerError: the proofs cannot be read.
        """


@dataclass(frozen=True, slots=True)
class ApprovalMissing(Finding):
    """A change that widens, or that loosens the rule, without the approvals of the last applied rule."""

    guard: ClassVar = GuardName.APPROVAL
    what: str
    missing: str
    waits: bool = False

    @property
    def message(self) -> str:
        """What needs approvals, and what is missing."""
        return f"{self.what}: {self.missing}"

    @property
    def is_temporary(self) -> bool:
        """Whether only an answer of the forge is missing."""
        return self.waits


@dataclass(frozen=True, slots=True)
class Needs:
    """What a plan needs approvals for."""

    features: Mapping[str, Needed]
    rule: Needed | None = None
    """For a looser rule."""
    files: Mapping[str, Needed] | None = None
    """For the files that say who may approve."""

    def __bool__(self) -> bool:
        return bool(self.features or self.rule or self.files)

    @property
    def with_owners(self) -> bool:
        """Whether one of them is a code owner's."""
        files = (self.files or {}).values()
        return any(
            each is not None and each.owner for each in (*self.features.values(), self.rule, *files)
        )


def find_needs(
    plan: Plan, rollout: Rollout, inputs: PlanInputs, changed_files: Iterable[str]
) -> Needs:
    """Return what needs approvals, by the rule of the last applied file.

    `changed_files` are the files that say who may approve and that changed since then.
    """
    rule = inputs.applied.approvals
    if rule is None:
        return Needs({})
    strict = Needed(rule.widening, rule.code_owners)
    return Needs(
        {
            each.name: Needed(rule.widening, rule.needs_owner(_share(each)))
            for each in plan.features
            if needs_approval(plan, each, inputs)
        },
        strict if rule.is_loosened_by(rollout.approvals) else None,
        dict.fromkeys(sorted(changed_files), strict),
    )


def needs_approval(plan: Plan, feature: FeaturePlan, inputs: PlanInputs) -> bool:
    """Return whether the file lets repositories gain the feature, now or after a resume."""
    context = FeatureContext.of(feature.name, inputs)
    after, before = feature.desired, context.desired
    if not after.active:
        return False
    changes = configuration_changes(before, after, inputs.live.directory)
    if any(widens(each, after) for each in changes):
        return True
    if is_wider(feature.overrides.in_force, context.limit):
        return True
    if (
        before is None
        or plan.categories.changed
        or plan.test_repositories.added
        or any(map(is_by_audience, changes))
    ):
        # Under a limit the gain comes with the resume, and is not counted now.
        radius, is_limited = feature.blast_radius, feature.overrides.in_force is not None
        return is_limited or radius is None or bool(radius.gained)
    return False


def is_wider_in_git(plan: Plan, needs: Needs, inputs: PlanInputs, base: Rollout | None) -> bool:
    """Return whether the file at the last applied commit makes more repositories eligible than the apply did.

    An apply with uncommitted changes can store less than its commit declares; a change of that commit was
    never approved.
    """
    for each in plan.features:
        declared = None if base is None else base.features.get(each.name)
        applied = FeatureContext.of(each.name, inputs).desired
        if each.name in needs.features and declared is not None and declared.active:
            directory = inputs.live.directory
            found = desired_configuration(each.name, declared, directory)
            if may_widen(applied, found, directory):
                return True
    return False


def _share(feature: FeaturePlan) -> Decimal:
    """Return the percentage that a feature may reach: the declared one, or that of its repositories."""
    declared = feature.desired.percentage
    percentage = Decimal(0) if feature.desired.strategy is Strategy.WHITELIST else declared
    radius = feature.blast_radius
    if radius is None or not radius.repositories:
        return percentage
    return max(percentage, Decimal(100 * radius.after) / radius.repositories)


def with_approvals(plan: Plan, needs: Needs, evidence: Evidence) -> Plan:
    """Return a plan with the approvers of its features, and a finding for each missing approval."""
    features = tuple(
        _judged(each, needs.features[each.name], evidence) if each.name in needs.features else each
        for each in plan.features
    )
    rule = [
        (OfRule(), needs.rule, "the rule of approvals would be looser"),
        *(
            (OfFile(path), needed, f"{path} says who may approve, and changed")
            for path, needed in (needs.files or {}).items()
        ),
    ]
    judged = [(what, evidence.judge(subject, needed)) for subject, needed, what in rule if needed]
    return replace(
        plan,
        features=features,
        rule_findings=tuple(
            ApprovalMissing(what, each.missing, each.waits)
            for what, each in judged
            if each.missing is not None
        ),
        rule_approvers=_people(each for _, each in judged),
    )


def _judged(feature: FeaturePlan, needed: Needed, evidence: Evidence) -> FeaturePlan:
    judged = evidence.judge(OfFeature(feature.name), needed)
    feature = replace(feature, approvers=_people([judged]), needs_approval=True)
    if judged.missing is None:
        return feature
    finding = ApprovalMissing(
        f"this widens the audience and needs {needed.text}", judged.missing, judged.waits
    )
    return replace(feature, findings=(*feature.findings, finding))


def without_approvals(plan: Plan) -> Plan:
    """Return a plan of a change without a pull request yet, without the findings about approvals."""
    features = tuple(
        replace(
            each,
            findings=tuple(
                found for found in each.findings if found.guard is not GuardName.APPROVAL
            ),
        )
        for each in plan.features
    )
    return replace(plan, features=features, rule_findings=())


def _people(judged: Iterable[Judged]) -> tuple[Approver, ...]:
    found = {each.name.lower(): each for one in judged for each in one.approvers}
    return tuple(found.values())


def approval_details(plan: Plan, feature: FeaturePlan, by: str) -> Mapping[str, Any]:
    """Return who approved a feature's widening, as the metadata of history has it."""
    if not feature.needs_approval:
        return {}
    return _details(feature.approvers, plan.allowed_for(feature.name).get(GuardName.APPROVAL), by)


def rule_details(plan: Plan, by: str) -> Mapping[str, Any]:
    """Return who approved a change of the rule, as the metadata of history has it."""
    allowed = plan.allowed_for_all.get(GuardName.APPROVAL)
    if not (plan.rule_approvers or (plan.rule_findings and allowed)):
        return {}
    return _details(plan.rule_approvers, allowed, by)


def stored_approvals(plan: Plan, by: str) -> Mapping[str, Any]:
    """Return by feature who approved its last widening, as an apply stores it."""
    new = {each.name: approval_details(plan, each, by) for each in plan.features}
    found = {name: {**each["approval"]} for name, each in new.items() if each}
    return {**plan.approved, **found}


def _details(
    approvers: tuple[Approver, ...], allowed: Allowed | None, by: str
) -> Mapping[str, Any]:
    details: dict[str, Any] = {
        "approved_by": [{"name": each.name, "at": each.at} for each in approvers]
    }
    if allowed is not None:
        details["allowed"] = {"by": by, "reason": allowed.reason or ""}
    return {"approval": details}
