"""The apply: preview, apply, apply a saved plan, apply after a question; each prints the plan.

Each function returns the exit code of the command.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from reconciler.cli.context import actor, open_database, outbox_of
from reconciler.cli.metrics_source import choose_metrics_source
from reconciler.cli.options import Format, Settings
from reconciler.cli.output import ask, can_ask, print_result
from reconciler.cli.render.plan_text import Outcome, fitted_summary, plan_text
from reconciler.errors import Refused
from reconciler.operations import reconcile
from reconciler.operations.reconcile import NOTHING_ALLOWED, Permission, read_source
from reconciler.planning.application import Application
from reconciler.planning.plan import Plan
from reconciler.rollout_file import read_rollout_file

if TYPE_CHECKING:
    from reconciler.database.transactions import Database
    from reconciler.planning.approvals import ApprovalSource
    from reconciler.planning.expectation import Expectation
    from reconciler.planning.report import PlanReport
    from reconciler.rollout_file.reader import Document

EXIT_DONE: Final = 0
EXIT_CHANGES_PENDING: Final = 2


@dataclass(frozen=True, slots=True)
class Request:
    """The file to apply, and the person's permissions."""

    settings: Settings
    document: "Document"
    application: Application
    permission: Permission
    writes_back: bool | None = None
    """Whether the override of kept drift is written to git; None: unless the database is embedded."""

    @classmethod
    def make(
        cls,
        settings: Settings,
        permission: Permission = NOTHING_ALLOWED,
        *,
        writes_back: bool | None = None,
        approval_source: "ApprovalSource | None" = None,
    ) -> Self:
        """Read the file of the settings, and its commit."""
        document = read_rollout_file(settings.path)
        application = Application(
            read_source(document),
            document.rollout,
            applied_by=actor(settings),
            metrics_source=choose_metrics_source(),
            approval_source=approval_source,
        )
        return cls(settings, document, application, permission, writes_back)


def require_commit(request: Request, *, is_asked_for: bool | None) -> None:
    """Refuse a file with local changes on request, or if CI is set.

    Outside git there is no commit to require, so only an explicit request is refused there.
    """
    is_required = bool(os.environ.get("CI")) if is_asked_for is None else is_asked_for
    source = request.application.source
    if is_required and source.uncommitted:
        raise Refused(
            f"{source.file} has changes that are not committed; nothing was written; commit them"
        )
    if is_asked_for and source.commit is None:
        raise Refused(
            f"{source.file} is outside git, so it has no commit; nothing was written; "
            "commit it, or omit --require-commit"
        )


def preview(request: Request, *, plan_out: str | None, detailed_exitcode: bool) -> int:
    """Print what an apply would do; with `plan_out` save it."""
    database = open_database(request.settings, creates=True)
    plan = reconcile.preview(database, request.application, request.permission)
    show(request, plan, Outcome.PREVIEWED)
    if plan_out is not None:
        from reconciler.cli.plan_file import write_plan
        from reconciler.planning.report import make_report

        write_plan(Path(plan_out), make_report(plan, request.application.source, applied=False))
    if plan.is_refused:
        return Refused.exit_code
    return EXIT_CHANGES_PENDING if plan.has_changes and detailed_exitcode else EXIT_DONE


def apply(request: Request) -> int:
    """Apply, and print what was done."""
    return _exit_code(apply_and_show(request))


def apply_and_show(request: Request, *, expected: "Expectation | None" = None) -> Plan:
    """Apply, print what was done, and return the applied or refused plan."""
    database = open_database(request.settings, to_write=True, creates=True)
    applied = reconcile.apply(
        database,
        request.application,
        request.permission,
        expected=expected,
        emit=outbox_of(database),
    )
    is_refused = applied.plan.is_refused
    show(request, applied.plan, Outcome.REFUSED if is_refused else Outcome.APPLIED)
    _write_back_kept_drift(request, database, applied.plan)
    return applied.plan


def apply_as_part(request: Request, *, yes: bool) -> "PlanReport":
    """Apply as a part of another command, whose JSON holds the report; return the report.

    On a terminal the plan is printed and a question asked first, unless `yes`.
    """
    from reconciler.planning.report import make_report

    source = request.application.source
    if request.settings.format is Format.JSON:
        database = open_database(request.settings, to_write=True, creates=True)
        plan = reconcile.apply(
            database,
            request.application,
            request.permission,
            emit=outbox_of(database),
        ).plan
        _write_back_kept_drift(request, database, plan)
    elif yes or not asks(request.settings):
        plan = apply_and_show(request)
    else:
        plan = _apply_after_asking(request)
    return make_report(plan, source, applied=not plan.is_refused)


def apply_saved(request: Request, plan_in: str) -> int:
    """Apply a saved plan and nothing else."""
    from reconciler.cli.plan_file import read_plan
    from reconciler.planning.expectation import expect

    return _exit_code(apply_and_show(request, expected=expect(read_plan(Path(plan_in)))))


def asks(settings: Settings) -> bool:
    """Return whether an apply prints its plan and asks first."""
    return settings.format is Format.TEXT and can_ask()


def apply_after_asking(request: Request) -> int:
    """Print the plan, ask, and apply exactly that plan."""
    return _exit_code(_apply_after_asking(request))


def _apply_after_asking(request: Request) -> Plan:
    from reconciler.planning.expectation import expect
    from reconciler.planning.report import make_report

    database = open_database(request.settings, to_write=True, creates=True)
    plan = reconcile.preview(database, request.application, request.permission)
    if plan.is_refused:
        show(request, plan, Outcome.REFUSED)
        return plan
    shown = expect(make_report(plan, request.application.source, applied=False))
    if not plan.has_changes:
        return apply_and_show(request, expected=shown)
    show(request, plan, Outcome.PROPOSED)
    ask("Apply this?", "nothing was applied")
    applied = reconcile.apply(
        database,
        request.application,
        request.permission,
        expected=shown,
        emit=outbox_of(database),
    )
    if applied.plan.is_refused:
        # A guard has refused the plan since then: show the finding to the person.
        show(request, applied.plan, Outcome.REFUSED)
    else:
        print_result(request.settings, fitted_summary(applied.plan, Outcome.APPLIED))
    _write_back_kept_drift(request, database, applied.plan)
    return applied.plan


def _write_back_kept_drift(request: Request, database: "Database", plan: Plan) -> None:
    """Write the overrides of kept drift back to git, like every command that creates overrides."""
    has_kept_drift = any(feature.overrides.kept is not None for feature in plan.features)
    if plan.is_refused or not has_kept_drift:
        return
    from reconciler.cli.write_back_report import report_text, write_back_and_warn

    report = write_back_and_warn(request.settings, database, requested=request.writes_back)
    if report is not None and report.overrides:
        request.settings.inform(report_text(report))


def _exit_code(plan: Plan) -> int:
    return Refused.exit_code if plan.is_refused else EXIT_DONE


def show(request: Request, plan: Plan, outcome: Outcome) -> None:
    """Print a plan in the requested format."""
    settings, source = request.settings, request.application.source
    match settings.format:
        case Format.JSON:
            from reconciler.cli.render.text import for_json
            from reconciler.planning.report import make_report

            report = make_report(plan, source, applied=outcome is Outcome.APPLIED)
            print_result(settings, for_json(report.model_dump_json(indent=2)))
        case Format.MARKDOWN:
            from reconciler.cli.render.plan_markdown import plan_markdown

            print_result(settings, plan_markdown(plan, source, outcome))
        case Format.GITHUB:
            from reconciler.cli.render.annotations import plan_annotations
            from reconciler.cli.render.plan_markdown import plan_markdown
            from reconciler.cli.workflow_output import annotate, print_plainly, summarize

            print_plainly(settings, plan_text(plan, source, outcome))
            annotate(settings, plan_annotations(plan, request.document))
            summarize(plan_markdown(plan, source, outcome))
        case Format.TEXT:
            print_result(settings, plan_text(plan, source, outcome))
