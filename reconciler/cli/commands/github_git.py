"""The git part of `reconcile github`: write-back, and pull requests for the next stage."""

import os
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import Settings
from reconciler.cli.render.text import for_line, for_markdown
from reconciler.errors import Stale
from reconciler.github.client import GitHub, repository_path
from reconciler.github.names import Names
from reconciler.github.pull_requests import Proposal, declined_address, is_proposed, propose

if TYPE_CHECKING:
    from reconciler.database.transactions import Database


def write_back_and_apply(settings: Settings, database: "Database") -> int:
    """Write overrides back, by a pull request if the branch refuses pushes; apply new commits.

    A push with a job's own token starts no workflow, so this job applies the new commits.
    """
    from reconciler.cli.render.annotations import Annotation, Level
    from reconciler.cli.workflow_output import annotate, print_plainly
    from reconciler.cli.write_back_report import report_text
    from reconciler.git.user_commit import follow_upstream
    from reconciler.github.signed_commits import SignedCommits
    from reconciler.operations.write_back import write_back

    proposals = _Proposals(settings)
    report = write_back(
        database,
        settings.path,
        propose=proposals.open,
        publish=SignedCommits(proposals.github, proposals.repository),
    )
    for each in report.overrides:
        if each.branch is not None:
            proposals.open_where_none_is(each.branch, each.feature)
    print_plainly(settings, report_text(report))
    if report.problem is not None:
        message = (
            f"{report.problem}; the overrides stay in force, and the next run writes them back"
        )
        annotate(settings, [Annotation(Level.WARNING, message, "not in git yet")])
    if follow_upstream(settings.path):
        return apply_unless_stale(settings)
    return 0


def apply_unless_stale(settings: Settings) -> int:
    """Apply the file; succeed with a notice if a newer commit is applied already.

    A scheduled run also succeeds if only time is missing, or an answer: a later one applies the file.
    """
    from reconciler.cli import apply_flow
    from reconciler.cli.workflow_output import annotate_error
    from reconciler.errors import Refused
    from reconciler.github.approvals import ReviewsOfThisJob

    try:
        request = apply_flow.Request.make(
            settings, approval_source=ReviewsOfThisJob(settings.inform)
        )
        apply_flow.require_commit(request, is_asked_for=True)
        plan = apply_flow.apply_and_show(request)
    except Stale as stale:
        annotate_error(settings, stale)
        return 0
    waits = os.environ.get("GITHUB_EVENT_NAME") == "schedule" and plan.only_waits
    return Refused.exit_code if plan.is_refused and not waits else 0


class _Proposals:
    """Opens a pull request for each pushed branch, once."""

    def __init__(self, settings: Settings) -> None:
        self.github = GitHub.from_environment(settings.inform)
        self.repository = repository_path()
        self.names = Names.of(settings.path)
        self.base = os.environ.get("GITHUB_REF_NAME") or "main"
        self._seen: set[str] = set()

    def open(self, branch: str, title: str, text: str) -> None:
        """Open a pull request for a branch, with a title and plain text, or update the existing one."""
        self.open_with(branch, f"{title}{self.names.title_suffix}", for_markdown(text))

    def report_declined(self, branch: str) -> bool:
        """Return whether a person declined the pull request of a branch; print it then.

        Its branch may be deleted, and is not pushed again.
        """
        address = declined_address(self.github, self.repository, branch, self.base)
        if address is not None:
            click.echo(f"pull request declined; not opened again: {address}")
        return address is not None

    def open_with(self, branch: str, title: str, body: str) -> None:
        """Open a pull request for a branch, with a title and Markdown, or update the existing one."""
        self._seen.add(branch)
        proposal = Proposal(branch, self.base, for_line(title), body)
        proposed = propose(self.github, self.repository, proposal)
        existing = "declined; not opened again:" if proposed.is_declined else "open:"
        click.echo(f"pull request {'opened:' if proposed.is_new else existing} {proposed.url}")

    def open_where_none_is(self, branch: str, feature: str) -> None:
        """Open a pull request for a branch that was pushed without one, for instance from a laptop."""
        if branch in self._seen:
            return
        if not is_proposed(self.github, self.repository, branch, self.base):
            text = "It is in force already; the commit of the branch has the reason."
            self.open(branch, f"Write the override of {feature} into the rollout file", text)


def propose_promotions(settings: Settings, database: "Database") -> None:
    """Open a pull request for each feature whose next stage is due; print others' missing conditions."""
    from reconciler.cli.commands.promote import record_ready
    from reconciler.cli.context import actor
    from reconciler.cli.render.plan_markdown import plan_markdown
    from reconciler.cli.render.plan_text import Outcome
    from reconciler.github.promotions import promotion_branch, push_promotion
    from reconciler.operations.promote import promote
    from reconciler.rollout_file import read_rollout_file
    from rollout_client.atomic_write import replace_file

    proposals = _Proposals(settings)
    document = read_rollout_file(settings.path)
    for feature in document.rollout.features:
        promotion = promote(database, document, feature, by=actor(settings))
        if promotion is None:
            continue
        for each in promotion.missing:
            click.echo(for_line(f"{feature}: not yet: {each.message}"))
        if promotion.missing:
            continue
        record_ready(database, feature, promotion)
        # The next feature's stage gets its own pull request.
        replace_file(settings.path, document.content)
        branch = promotion_branch(feature, promotion, proposals.names)
        if proposals.report_declined(branch):
            continue
        pushed = push_promotion(document, feature, promotion, proposals.base, proposals.names)
        body = plan_markdown(promotion.plan, promotion.source, Outcome.PROPOSED)
        if cost := _cost(database, feature):
            body = f"{cost}\n\n{body}"
        proposals.open_with(pushed.branch, pushed.title, body)


def _cost(database: "Database", feature: str) -> str | None:
    """Return what the jobs of the last 30 days cost and would have cost; None without a known price."""
    from datetime import UTC, datetime

    from reconciler.database.cost import read_cost
    from reconciler.database.transactions import read_only_transaction
    from reconciler.planning.cost import SHOWN_PERIOD
    from reconciler.wording import counted, show_price

    with read_only_transaction(database) as connection:
        report = read_cost(connection, feature, datetime.now(UTC) - SHOWN_PERIOD)
    if report.now is None or report.at_0 is None or report.at_100 is None or not report.lines:
        return None
    return (
        f"The {counted(report.jobs, 'job')} of the last 30 days cost {show_price(report.now)}; at 0 percent "
        f"{show_price(report.at_0)}, at 100 percent {show_price(report.at_100)}."
    )
