"""The first loop: file → plan → apply.

`preview` and `apply` make the same plan by the same code; a preview does so in a transaction that
cannot write, an apply in one that locks out every other writer.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from reconciler.database.apply import Application, lock_for_apply, write_plan
from reconciler.database.blast_radius import NO_AUDIENCE, measure_blast_radius
from reconciler.database.health import read_soaking
from reconciler.database.live_state import Found, read_live
from reconciler.database.schema import require_newest
from reconciler.database.transactions import (
    Database,
    read_only_transaction,
    write_transaction,
)
from reconciler.errors import (
    BranchBehind,
    FileInvalid,
    HistoryRewritten,
    ReconcilerError,
    Stale,
    Unavailable,
)
from reconciler.git.discovery import find_top
from reconciler.planning.commit_permission import (
    ALLOW_TRAILER,
    AllowingCommit,
    CommitPermission,
    read_permission,
)
from reconciler.planning.drift import AudienceChange
from reconciler.planning.feature_context import drift_to_judge, kept_ids
from reconciler.planning.guards import Allowed
from reconciler.planning.health import JobMetrics, MetricsSource, Period
from reconciler.planning.overrides import OverrideState, Trace
from reconciler.planning.plan import FeatureAction, FeaturePlan, Plan
from reconciler.planning.plan_inputs import PlanInputs, Source
from reconciler.planning.planner import (
    make_plan,
    stages_to_judge,
    with_blast_radius,
)
from reconciler.planning.promotion import Soaking
from reconciler.rollout_file.model import Guards

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from reconciler.planning.report import Expectation
    from reconciler.rollout_file.model import Rollout
    from reconciler.rollout_file.reader import Document


@dataclass(frozen=True, slots=True)
class Permission:
    """What a person allows an apply beyond the ordinary."""

    guards: frozenset[Allowed] = frozenset()
    history_rewrite: bool = False


NOTHING_ALLOWED = Permission()


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did, and the newest generation after it."""

    plan: Plan
    generation: int


def read_source(document: "Document") -> Source:
    """Return which file at which commit a document is."""
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
    """Return what an apply would do now; writes nothing, and needs only SELECT.

    Raises:
        Stale: a newer commit is applied already.
        HistoryRewritten: history was rewritten since the last apply.
    """
    with (
        _refusing_with_the_remotes_answer(application.source),
        read_only_transaction(database) as connection,
    ):
        require_newest(connection)
        return plan_against(connection, application, permission)


def apply(
    database: Database,
    application: Application,
    permission: Permission = NOTHING_ALLOWED,
    *,
    expected: "Expectation | None" = None,
) -> Applied:
    """Plan and write, as one transaction; return what was done, or the plan that is refused.

    A plan that is refused is returned as it is, and nothing is written.

    Raises:
        Stale: a newer commit is applied already, or what would be done is no longer what was
            `expected`.
        HistoryRewritten: history was rewritten since the last apply.
    """
    application = _ask_beforehand(database, application)

    def plan_and_write(connection: "Connection") -> Applied:
        require_newest(connection)
        lock_for_apply(connection)
        plan = plan_against(connection, application, permission)
        if expected is not None:
            _require_expected(expected, plan, application.source)
        if plan.is_refused:
            return Applied(plan, plan.generation)
        return Applied(plan, write_plan(connection, plan, application))

    with _refusing_with_the_remotes_answer(application.source):
        return write_transaction(database, plan_and_write)


@dataclass(frozen=True, slots=True)
class _AskedOnce:
    """A source of metrics whose answers are kept: the same period of a feature is asked for once."""

    source: MetricsSource
    answers: dict[tuple[str, timedelta, datetime | None], JobMetrics | Unavailable]

    def read_metrics(self, feature: str, period: Period) -> JobMetrics:
        """Return the metrics as they were when they were first asked for."""
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
    """Return an application whose source of metrics has answered, so that no lock waits for it."""
    source, rollout = application.metrics_source, application.rollout
    if source is None or not any(each.progression for each in rollout.features.values()):
        return application
    asked = _AskedOnce(source, {})
    # An error here occurs again under the lock; there it is tried again, and reported.
    with suppress(ReconcilerError), read_only_transaction(database) as connection:
        require_newest(connection)
        found = read_live(connection, rollout)
        _read_soaking(connection, rollout, PlanInputs(found.live, found.applied), asked)
    return replace(application, metrics_source=asked)


def plan_against(
    connection: "Connection", application: Application, permission: Permission
) -> Plan:
    """Return the plan for what this transaction sees, with the blast radius of what it moves."""
    rollout, source = application.rollout, application.source
    found = read_live(connection, rollout)
    _require_newer(source, found.live.applied_commit, permission)
    inputs = PlanInputs(found.live, found.applied, traces=_traces(rollout, source, found))
    inputs = replace(
        inputs,
        audience=judge_drift(connection, inputs),
        soaking=_read_soaking(connection, rollout, inputs, application.metrics_source),
    )
    inputs = _with_kept_traces(inputs, source)
    plan = make_plan(rollout, inputs)
    if plan.has_changes:
        measured = [_measure(connection, feature, plan, rollout) for feature in plan.features]
        plan = replace(plan, features=tuple(measured))
    if not plan.refusing:
        return plan
    by_commits = _commit_permission(source, plan)
    return plan.allowing(permission.guards | by_commits.allowed, by_commits.notes)


def _read_soaking(
    connection: "Connection", rollout: "Rollout", inputs: PlanInputs, source: MetricsSource | None
) -> Mapping[str, Soaking]:
    """Read how the features do whose percentage rises over a stage."""
    return {
        name: read_soaking(connection, name, stage.percentage, source=source)
        for name, stage in stages_to_judge(rollout, inputs)
    }


def _require_expected(expected: "Expectation", plan: Plan, source: Source) -> None:
    # The report's models take a tenth of a second to build; most applies need none.
    from reconciler.planning.report import make_report, what_moved

    if moved := what_moved(expected, make_report(plan, source, applied=False)):
        raise Stale(
            f"the plan no longer fits: {' and '.join(moved)}; nothing was written; "
            "make and look at a new one"
        )


def _require_newer(source: Source, applied_commit: str | None, permission: Permission) -> None:
    if source.commit is None or applied_commit is None:
        return
    from reconciler.git.ancestry import Relation, relate

    match relate(_file(source), applied_commit, source.commit):
        case Relation.SAME | Relation.AHEAD:
            return
        case Relation.BEHIND:
            raise _stale(source.commit, applied_commit)
        case _ if not permission.history_rewrite:
            raise HistoryRewritten(source.commit, applied_commit)


@contextmanager
def _refusing_with_the_remotes_answer(source: Source) -> Iterator[None]:
    """Refuse a commit by what the remote's branch has too, once no transaction waits for its answer."""
    try:
        yield
    except HistoryRewritten as refused:
        raise _refusal_at_remote(source, refused) from None


def _refusal_at_remote(source: Source, refused: HistoryRewritten) -> ReconcilerError:
    from reconciler.git.ancestry import Relation
    from reconciler.git.checkout import CannotWriteBack
    from reconciler.git.rollout_branch import relate_at_remote

    commit, applied = source.commit or "", refused.applied_commit
    try:
        relation, branch = relate_at_remote(_file(source), applied, commit)
    except CannotWriteBack:
        return refused
    match relation:
        case Relation.BEHIND:
            return _stale(commit, applied)
        case Relation.DIVERGED:
            return BranchBehind(commit, applied, branch)
        case _:
            return refused


def _stale(commit: str, applied_commit: str) -> Stale:
    return Stale(
        f"{commit[:7]} is older than {applied_commit[:7]}, which is applied already; "
        "nothing was written; no action is needed"
    )


def _traces(rollout: "Rollout", source: Source, found: Found) -> Mapping[UUID, Trace]:
    """Ask git of the overrides whose life its history decides; most of the time there are none."""
    if source.commit is None:
        return {}
    in_file = {
        feature.override.id for feature in rollout.features.values() if feature.override is not None
    }
    unsettled = {
        row.id
        for feature in found.live.features.values()
        for row in feature.overrides
        # A superseded one comes back where people remove only what took its place.
        if row.state is not OverrideState.DONE or row.superseded_by is not None
    }
    from reconciler.git.override_trace import trace_overrides

    asked = {override: override in in_file for override in sorted(in_file | unsettled)}
    return trace_overrides(_file(source), asked)


def _with_kept_traces(inputs: PlanInputs, source: Source) -> PlanInputs:
    """Ask git also of the ids that drift would be kept under, until each is one that git does not know."""
    if source.commit is None:
        return inputs
    from reconciler.git.override_trace import trace_overrides

    while unknown := set(kept_ids(inputs)) - inputs.traces.keys():
        found = trace_overrides(_file(source), dict.fromkeys(unknown, False))
        inputs = replace(inputs, traces={**inputs.traces, **found})
    return inputs


def judge_drift(
    connection: "Connection", inputs: PlanInputs
) -> Mapping[str, Mapping[str, AudienceChange]]:
    """Count what drift does whose direction only the audience shows."""
    judged: defaultdict[str, dict[str, AudienceChange]] = defaultdict(dict)
    for name, field, expected, live in drift_to_judge(inputs):
        undone = replace(live, **{field.name: field.read(expected)})
        radius = measure_blast_radius(connection, name, live.targeting, undone.targeting)
        # Undoing it gains whom it lost.
        judged[name][field.name] = AudienceChange(gained=radius.lost, lost=radius.gained)
    return judged


def _measure(
    connection: "Connection", feature: FeaturePlan, plan: Plan, rollout: "Rollout"
) -> FeaturePlan:
    marks, categories = plan.test_repositories, plan.categories
    # Marks and thresholds can change the audience of a feature that does not change itself.
    audience_moves = bool(len(marks) or categories.changed)
    if feature.action is FeatureAction.NONE and not audience_moves:
        return feature
    radius = measure_blast_radius(
        connection,
        feature.name,
        NO_AUDIENCE if feature.before is None else feature.before.targeting,
        feature.after.targeting,
        marked=tuple(marks.added),
        unmarked=tuple(marks.removed),
        thresholds=categories.after if categories.changed else None,
    )
    desired = rollout.features.get(feature.name)
    return with_blast_radius(
        feature,
        radius,
        Guards() if desired is None else desired.guards,
        recategorises=bool(categories.changed),
    )


def _file(source: Source) -> Path:
    return Path(source.place).absolute()


def _commit_permission(source: Source, plan: Plan) -> CommitPermission:
    """Return what the commits since the last apply allow by their messages."""
    if source.commit is None:
        return CommitPermission()
    from reconciler.git.ancestry import changes_with

    found = changes_with(_file(source), ALLOW_TRAILER, plan.applied_commit, source.commit)
    return read_permission(
        tuple(
            AllowingCommit(
                commit=each.commit,
                message=each.message,
                changes_file=each.before != each.after,
                before=_parsed(each.before),
                after=_parsed(each.after),
            )
            for each in found
        )
    )


def _parsed(content: bytes | None) -> "Rollout | None":
    from reconciler.rollout_file import parse_rollout

    try:
        return None if content is None else parse_rollout(content).rollout
    except FileInvalid:
        return None
