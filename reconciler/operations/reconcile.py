"""The first loop: file → plan → apply.

`preview` and `apply` make the same plan with the same code. A preview uses a transaction that
cannot write, an apply one that locks out every other writer.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from reconciler.database.live_state import Found, read_live
from reconciler.database.schema import require_newest
from reconciler.database.transactions import Database, read_only_transaction, write_transaction
from reconciler.errors import ReconcilerError, Stale, Unavailable
from reconciler.git.discovery import find_top
from reconciler.operations.commits import (
    commit_permission,
    file_of,
    refusing_with_the_remotes_answer,
    require_newer,
)
from reconciler.operations.listeners import Emit, emit_to_no_listener
from reconciler.operations.measure import judge_drift, measure
from reconciler.planning.application import Application
from reconciler.planning.feature_context import kept_ids
from reconciler.planning.guard_names import Allowed
from reconciler.planning.overrides import OverrideState, Trace
from reconciler.planning.plan import Plan
from reconciler.planning.plan_inputs import PlanInputs, Source
from reconciler.planning.planner import make_plan, stages_to_judge
from reconciler.wording import short_commit

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from reconciler.database.driver import AnyConnection
    from reconciler.planning.approval_evidence import Evidence
    from reconciler.planning.approvals import ApprovalSource
    from reconciler.planning.expectation import Expectation
    from reconciler.planning.health import JobMetrics, MetricsSource, Period
    from reconciler.planning.stages import Soaking
    from reconciler.rollout_file.model import Rollout
    from reconciler.rollout_file.reader import Document


@dataclass(frozen=True, slots=True)
class Permission:
    """The permissions that a person gives an apply."""

    guards: frozenset[Allowed] = frozenset()
    history_rewrite: bool = False


NOTHING_ALLOWED = Permission()
_MOST_QUESTIONS: Final = 5


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of an apply, and the newest generation after it."""

    plan: Plan
    generation: int


def read_source(document: "Document") -> Source:
    """Return the file and the commit of a document."""
    file = Path(document.path).absolute()
    head = None
    if find_top(file.parent) is not None:
        from reconciler.git.head import read_head

        head = read_head(file)
    return Source(
        file=document.path,
        digest=document.digest,
        commit=None if head is None else head.commit,
        uncommitted=head is not None and head.uncommitted,
        subject=None if head is None else head.subject,
    )


def preview(
    database: Database, application: Application, permission: Permission = NOTHING_ALLOWED
) -> Plan:
    """Return what an apply would do now; writes nothing, and needs only a reader's rights.

    Raises:
        Stale: a newer commit is applied already.
        HistoryRewritten: history was rewritten since the last apply.
    """
    with (
        refusing_with_the_remotes_answer(application.source),
        read_only_transaction(database) as connection,
    ):
        require_newest(connection)
        return plan_against(connection, application, permission, counts=False)


def apply(
    database: Database,
    application: Application,
    permission: Permission = NOTHING_ALLOWED,
    *,
    expected: "Expectation | None" = None,
    require: Callable[["AnyConnection"], None] = lambda _connection: None,
    emit: Emit = emit_to_no_listener,
) -> Applied:
    """Plan and write, as one transaction; return the applied plan, or the plan that is refused.

    If a plan is refused, nothing is written; the refusal of a commit's plan is emitted. `require` is called
    in the transaction, before it reads; what it raises ends the apply.

    Raises:
        Stale: a newer commit is applied already, or the plan is not the `expected` one.
        HistoryRewritten: history was rewritten since the last apply.
    """
    # Imported here, before the lock: a preview does not wait for what writes.
    from reconciler.database.apply import lock_for_apply, write_plan
    from reconciler.operations.events import CommitNotApplied

    application = _ask_beforehand(database, application)

    def plan_and_write(connection: "AnyConnection", application: Application) -> Applied:
        require_newest(connection)
        lock_for_apply(connection, database.on_wait)
        # The writer that it waited for can have been an upgrade.
        require_newest(connection)
        require(connection)
        plan = plan_against(connection, application, permission, counts=True)
        if expected is not None:
            _require_expected(expected, plan, application.source)
        if plan.is_refused:
            return Applied(plan, plan.generation)
        return Applied(plan, write_plan(connection, plan, application))

    with refusing_with_the_remotes_answer(application.source):
        applied = _apply_with_answers(database, application, plan_and_write)
    plan, commit = applied.plan, application.source.commit
    if plan.is_refused and commit is not None and not application.source.uncommitted:
        emit(CommitNotApplied(commit, plan.refusal, is_held=bool(plan.held)))
    if not plan.is_refused:
        _emit_overridden_freezes(applied, application, emit)
    return applied


def _emit_overridden_freezes(applied: Applied, application: Application, emit: Emit) -> None:
    from reconciler.operations.events import FreezeOverridden

    for feature in applied.plan.features:
        found = applied.plan.overridden_freeze(feature)
        if found is not None:
            emit(
                FreezeOverridden(
                    feature.name,
                    found.hold.sentence,
                    found.reason,
                    application.applied_by,
                    applied.generation,
                )
            )


@dataclass(frozen=True, slots=True)
class _AskedOnce:
    """A source of metrics that keeps its answers: it is asked once for a period of a feature."""

    source: "MetricsSource"
    answers: "dict[tuple[str, timedelta, datetime | None], JobMetrics | Unavailable]"

    def read_metrics(self, feature: str, period: "Period") -> "JobMetrics":
        """Return the metrics of the first request."""
        asked = (feature, period.window, period.cut_at)
        if asked not in self.answers:
            try:
                self.answers[asked] = self.source.read_metrics(feature, period)
            except Unavailable as failure:
                self.answers[asked] = failure
        answer = self.answers[asked]
        if isinstance(answer, Unavailable):
            raise answer
        return answer


def _ask_beforehand(database: Database, application: Application) -> Application:
    """Return an application whose source of metrics has already answered, so that no lock waits for it."""
    source, rollout = application.metrics_source, application.rollout
    if source is None or not any(each.progression for each in rollout.features.values()):
        return application
    asked = _AskedOnce(source, {})
    # An error here occurs again under the lock; there it is retried, and reported.
    with suppress(ReconcilerError), read_only_transaction(database) as connection:
        require_newest(connection)
        found = read_live(connection, rollout)
        _read_soaking(connection, rollout, PlanInputs(found.live, found.applied), asked)
    return replace(application, metrics_source=asked)


def _apply_with_answers(
    database: Database,
    application: Application,
    write: Callable[["AnyConnection", Application], Applied],
) -> Applied:
    """Apply in one transaction; ask who approved outside of it, so that no lock waits for the answer."""
    from reconciler.operations.approvals import AskedOnce, KnownAnswers, MustAsk

    asked = AskedOnce(_approval_source(application))
    application = replace(application, approval_source=KnownAnswers(asked.answers))
    for _ in range(_MOST_QUESTIONS):
        try:
            return write_transaction(database, lambda connection: write(connection, application))
        except MustAsk as question:
            asked.read_evidence(application.source, question.base, with_owners=question.with_owners)
    raise Unavailable("other applies change the applied commit again and again; try again later")


def plan_against(
    connection: "AnyConnection", application: Application, permission: Permission, *, counts: bool
) -> Plan:
    """Return the plan for the state that this transaction sees, with the blast radius of its changes.

    With `counts`, the plan has the numbers of eligible repositories that an apply keeps.
    """
    rollout, source = application.rollout, application.source
    found = read_live(connection, rollout)
    require_newer(source, found.live.applied_commit, accepts_rewrite=permission.history_rewrite)
    inputs = PlanInputs(found.live, found.applied, traces=_traces(rollout, source, found))
    inputs = replace(
        inputs,
        audience=judge_drift(connection, inputs),
        soaking=_read_soaking(connection, rollout, inputs, application.metrics_source),
    )
    inputs = _with_kept_traces(inputs, source)
    plan = make_plan(rollout, inputs)
    if plan.has_changes:
        plan = measure(connection, plan, rollout, counts=counts)
    plan = _judge_approvals(plan, inputs, application)
    if not plan.refusing:
        return plan
    by_commits = commit_permission(source, plan)
    return plan.allowing(permission.guards | by_commits.allowed, by_commits.notes)


def _approval_source(application: Application) -> "ApprovalSource":
    from reconciler.operations.approvals import SignedCommitSource

    return application.approval_source or SignedCommitSource()


def _judge_approvals(plan: Plan, inputs: PlanInputs, application: Application) -> Plan:
    """Return a plan with the approvals that the last applied rule asks for, and the missing ones."""
    rule, source, base = inputs.applied.approvals, application.source, inputs.live.applied_commit
    if rule is None:
        return plan
    # Imported here: most files ask for no approvals.
    from reconciler.operations.approvals import base_rollout, changed_trust, find_history
    from reconciler.planning.approval_evidence import NoEvidence
    from reconciler.planning.approvals import find_needs, is_wider_in_git, with_approvals

    history = find_history(source, base)
    changed = changed_trust(history, with_owners=rule.code_owners)
    needs = find_needs(plan, application.rollout, inputs, changed)
    if not needs:
        return plan
    evidence: Evidence
    if is_wider_in_git(plan, needs, inputs, base_rollout(history)):
        evidence = NoEvidence(
            f"the file at {short_commit(base or '')} declares more than was applied from it"
        )
    else:
        evidence = _approval_source(application).read_evidence(
            source, base, with_owners=needs.with_owners
        )
    return with_approvals(plan, needs, evidence)


def _read_soaking(
    connection: "AnyConnection",
    rollout: "Rollout",
    inputs: PlanInputs,
    source: "MetricsSource | None",
) -> "Mapping[str, Soaking]":
    """Read the health and soak of the features whose percentage increases over a stage."""
    stages = dict(stages_to_judge(rollout, inputs))
    if not stages:
        return {}
    # Imported here: most plans have no stages.
    from reconciler.database.health import read_soaking

    return {
        name: read_soaking(connection, name, stage.percentage, source=source)
        for name, stage in stages.items()
    }


def _require_expected(expected: "Expectation", plan: Plan, source: Source) -> None:
    # The report's models take a tenth of a second to build; most applies need none.
    from reconciler.planning.expectation import what_moved
    from reconciler.planning.report import make_report

    if moved := what_moved(expected, make_report(plan, source, applied=False)):
        raise Stale(
            f"the plan no longer fits: {' and '.join(moved)}; nothing was written; "
            "make and look at a new one"
        )


def _traces(rollout: "Rollout", source: Source, found: Found) -> Mapping[UUID, Trace]:
    """Ask git about the overrides whose life depends on its history; mostly there are none."""
    if source.commit is None:
        return {}
    in_file = {
        feature.override.id for feature in rollout.features.values() if feature.override is not None
    }
    unsettled = {
        row.id
        for feature in found.live.features.values()
        for row in feature.overrides
        # A superseded override is in force again if people remove only its successor.
        if row.state is not OverrideState.DONE or row.superseded_by is not None
    }
    from reconciler.git.override_trace import trace_overrides

    asked = {override: override in in_file for override in sorted(in_file | unsettled)}
    return trace_overrides(file_of(source), asked)


def _with_kept_traces(inputs: PlanInputs, source: Source) -> PlanInputs:
    """Ask git also about the ids for kept drift, until each is one that git does not know."""
    if source.commit is None:
        return inputs
    from reconciler.git.override_trace import trace_overrides

    while unknown := set(kept_ids(inputs)) - inputs.traces.keys():
        found = trace_overrides(file_of(source), dict.fromkeys(unknown, False))
        inputs = replace(inputs, traces={**inputs.traces, **found})
    return inputs
