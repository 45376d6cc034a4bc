"""A plan as JSON: the contract's object, whose schema is generated from these models.

Stable, additions only. Scripts read it, and a saved plan is it; text and Markdown are rendered from the
plan itself.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reconciler.planning.approval_rule import ApprovalsReport, ApproverReport, report_approvals
from reconciler.planning.changes import Change, ListChange, ScalarChange
from reconciler.planning.drift import Decision, Drift
from reconciler.planning.feature_config import Plain
from reconciler.planning.field_types import plain
from reconciler.planning.freezes import FreezesReport, report_freezes
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.guards import Finding
from reconciler.planning.marks import MarksReport, report_marks
from reconciler.planning.notifications import NotificationsReport, report_targets
from reconciler.planning.plan import CategoriesPlan, FeatureAction, FeaturePlan, Plan
from reconciler.planning.plan_inputs import Source
from reconciler.planning.processors import ProcessorsReport, report_processors
from reconciler.planning.routing_shift import RoutingShiftReport, report_shift
from reconciler.rollout_file.described_schema import DescribedSchema
from reconciler.rollout_file.override import Override
from reconciler.rollout_file.schema_address import schema_address
from reconciler.wording import describe_permission, exact_time


class Report(BaseModel):
    """The base of every part of a report: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ScalarChangeReport(Report):
    """One value changes."""

    field: str
    before: Plain
    after: Plain


class ListChangeReport(Report):
    """Entries of a list come and go."""

    field: str
    added: list[str]
    removed: list[str]
    resolved: list[str] = []
    """Entries that the database did not know at the last apply and knows now."""


class CountsReport(Report):
    """How many repositories gain and lose."""

    gained: int
    lost: int


class BlastRadiusReport(Report):
    """Which repositories gain and lose the feature, counted by the database."""

    repositories: int
    before: int
    after: int
    gained: int
    lost: int
    by_category: dict[str, CountsReport]
    by_owner: dict[str, CountsReport]
    sample_gained: list[str]
    sample_lost: list[str]


class OverrideReport(Report):
    """The limit in force on a feature."""

    id: str
    percentage: int | float | None
    emergency_stop: bool
    reason: str
    by: str
    at: str


class DriftReport(Report):
    """One field whose live value differs from the last apply, and the decision about it."""

    field: str
    last_applied: Any
    live: Any
    decision: Decision


class GuardReport(Report):
    """One guard's finding."""

    name: str
    message: str
    allowed: bool
    allowed_by: str | None = None
    """The commit whose `Rollout-Allow` allows it, and which merges keep it; null for `--allow`."""
    reason: str | None = None
    """Why it is allowed, of `freeze` and `approval` alone."""
    until: str | None = None
    """The time from which it allows the change by itself, of `freeze`, `not-before` and `soak`."""


class FeatureReport(Report):
    """What happens to one feature."""

    name: str
    action: FeatureAction
    changes: list[ScalarChangeReport | ListChangeReport]
    unresolved: list[str]
    override: OverrideReport | None
    drift: list[DriftReport]
    guards: list[GuardReport]
    warnings: list[str]
    blast_radius: BlastRadiusReport | None
    routing_shift: RoutingShiftReport | None = None
    approved_by: list[ApproverReport] = []
    """Who approved the change; of a widening under a rule of approvals."""


class ThresholdChangeReport(Report):
    """One category's threshold before and after."""

    category: str
    before: dict[str, int | None]
    after: dict[str, int | None]


class CategoriesReport(Report):
    """Whether the thresholds of the categories change; if so every repository is categorised again."""

    changed: bool
    thresholds: list[ThresholdChangeReport] = []


class PlanReport(Report):
    """A plan, or with `applied` the result of an apply."""

    model_config = ConfigDict(title="Plan")

    format_version: Literal[1] = 1
    applied: bool
    has_changes: bool
    refused: bool
    file: str
    file_digest: str = Field(pattern="^sha256:[0-9a-f]{64}$")
    plan_digest: str = Field(pattern="^sha256:[0-9a-f]{64}$")
    commit: str | None
    """The commit that HEAD names; null in a folder without git, or without a commit yet."""
    uncommitted: bool
    applied_commit: str | None
    generation: int
    """The generation when the plan was made; after the apply, the newest one."""
    features: list[FeatureReport]
    test_repositories: MarksReport
    categories: CategoriesReport
    notifications: NotificationsReport = NotificationsReport.model_construct()
    freezes: FreezesReport = FreezesReport.model_construct()
    processors: ProcessorsReport = ProcessorsReport.model_construct()
    approvals: ApprovalsReport = ApprovalsReport.model_construct()
    guards: list[GuardReport] = []
    """Findings about the rule of approvals itself, and about the files that say who may approve."""


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a plan."""
    schema = PlanReport.model_json_schema(mode="serialization", schema_generator=DescribedSchema)
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "$id": schema_address("plan"), **schema}


def make_report(plan: Plan, source: Source, *, applied: bool) -> PlanReport:
    """Return a plan as the contract's object."""
    features = [
        _report_feature(feature, plan.allowed_for(feature.name)) for feature in plan.features
    ]
    marks = report_marks(plan.test_repositories)
    categories = _report_categories(plan.categories)
    notifications = report_targets(plan.notifications)
    freezes = report_freezes(plan.freezes)
    processors = report_processors(plan.processors)
    approvals = report_approvals(plan.approvals)
    return PlanReport(
        applied=applied,
        has_changes=plan.has_changes,
        refused=plan.is_refused,
        file=source.file,
        file_digest=source.digest,
        plan_digest=_digest(
            features,
            marks,
            categories,
            {
                "notifications": notifications,
                "freezes": freezes,
                "processors": processors,
                "approvals": approvals,
            },
        ),
        commit=source.commit,
        uncommitted=source.uncommitted,
        applied_commit=plan.applied_commit,
        generation=plan.next_generation if applied else plan.generation,
        features=features,
        test_repositories=marks,
        categories=categories,
        notifications=notifications,
        freezes=freezes,
        processors=processors,
        approvals=approvals,
        guards=_report_findings(plan.rule_findings, plan.allowed_for_all),
    )


def _report_feature(feature: FeaturePlan, allowed: Mapping[GuardName, Allowed]) -> FeatureReport:
    in_force = feature.overrides.in_force
    return FeatureReport(
        name=feature.name,
        action=feature.action,
        changes=[_report_change(change) for change in feature.changes],
        unresolved=list(feature.unresolved),
        override=None if in_force is None else report_override(in_force),
        drift=[report_drift(drift) for drift in feature.drift],
        guards=_report_findings(feature.findings, allowed),
        warnings=list(feature.warnings),
        blast_radius=None
        if feature.blast_radius is None
        else BlastRadiusReport.model_validate(
            {
                key: value
                for key, value in asdict(feature.blast_radius).items()
                if key in BlastRadiusReport.model_fields
            }
        ),
        routing_shift=report_shift(feature.routing_shift),
        approved_by=[ApproverReport(name=each.name, at=each.at) for each in feature.approvers],
    )


def _report_findings(
    findings: Iterable[Finding], allowed: Mapping[GuardName, Allowed]
) -> list[GuardReport]:
    return [
        GuardReport(
            name=finding.guard,
            message=finding.message,
            allowed=finding.guard in allowed,
            allowed_by=_allowing_commit(allowed.get(finding.guard)),
            reason=_reason(allowed.get(finding.guard)),
            until=_until(finding),
        )
        for finding in findings
    ]


def _reason(allowed: Allowed | None) -> str | None:
    return None if allowed is None else allowed.reason


def _until(finding: Finding) -> str | None:
    return None if finding.holds_at is None else exact_time(finding.holds_at)


def _allowing_commit(allowed: Allowed | None) -> str | None:
    commit = None if allowed is None else allowed.commit
    return None if commit is None else describe_permission(commit)


def _report_change(change: Change) -> ScalarChangeReport | ListChangeReport:
    match change:
        case ScalarChange(field, before, after):
            return ScalarChangeReport(field=field.name, before=plain(before), after=plain(after))
        case ListChange(field, added, removed, resolved):
            return ListChangeReport(
                field=field.name,
                added=list(added.values()),
                removed=list(removed.values()),
                resolved=list(resolved.values()),
            )


def report_override(override: Override) -> OverrideReport:
    """Return an override as JSON has it."""
    return OverrideReport(
        id=str(override.id),
        percentage=plain(override.percentage),
        emergency_stop=override.emergency_stop is True,
        reason=override.reason,
        by=override.by,
        at=exact_time(override.at),
    )


def report_drift(drift: Drift) -> DriftReport:
    """Return one field's drift as JSON has it."""
    return DriftReport(
        field=drift.field.column,
        last_applied=plain(drift.last_applied),
        live=plain(drift.live),
        decision=drift.decision,
    )


def _report_categories(categories: CategoriesPlan) -> CategoriesReport:
    thresholds = [
        ThresholdChangeReport(
            category=category,
            before=asdict(categories.before[category]),
            after=asdict(categories.after[category]),
        )
        for category in categories.changed
    ]
    return CategoriesReport(changed=bool(thresholds), thresholds=thresholds)


def _digest(
    features: list[FeatureReport],
    marks: MarksReport,
    categories: CategoriesReport,
    named: Mapping[str, BaseModel],
) -> str:
    """Return the digest of a plan's actions, independent of its commit and generation."""
    # Findings, approvers and shifted jobs change with time, but do not change the actions.
    content: dict[str, Any] = {
        "features": [
            each.model_dump(mode="json", exclude={"guards", "routing_shift", "approved_by"})
            for each in features
        ],
        # Without a default, so that a plan without such marks keeps its digest.
        "test_repositories": marks.model_dump(mode="json", exclude_defaults=True),
        "categories": categories.model_dump(mode="json"),
    }
    # A plan without a change of them keeps the digest that it had before they existed.
    content |= {
        key: each.model_dump(mode="json") for key, each in named.items() if each != type(each)()
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
