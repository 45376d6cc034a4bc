"""`reconcile github`: the commands of the workflows on GitHub, one for each job.

Each writes annotations and the job's summary (they imply `--format github`), and a comment, an
issue or a pull request. `docs/github.md` lists which workflow runs which command.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import Format, Settings, settings_of
from reconciler.errors import (
    HistoryRewritten,
    NotFound,
    ReconcilerError,
    Refused,
    SetupInvalid,
    Stale,
)
from reconciler.wording import short_commit

if TYPE_CHECKING:
    from reconciler.cli.apply_flow import Request
    from reconciler.database.transactions import Database
    from reconciler.github.issues import DesiredIssue


@click.group("github", epilog="Example: reconcile github preview")
@click.pass_context
def command(context: click.Context) -> None:
    """Comments, issues and pull requests, for workflows on GitHub."""
    settings = settings_of(context)
    if settings.format is Format.TEXT:
        settings.format = Format.GITHUB


@command.command(epilog="Example: reconcile github preview")
@click.pass_context
def preview(context: click.Context) -> int:
    """Write what a merge would change into one comment of the pull request, and update that comment.

    Exits as reconcile --dry-run does: 3 if an apply would be refused.
    """
    from reconciler.cli.apply_flow import Request
    from reconciler.github.approvals import ReviewsOfThisJob
    from reconciler.github.client import GitHub, repository_path
    from reconciler.github.comments import put_comment
    from reconciler.github.event import pull_request_event
    from reconciler.github.names import Names

    settings = settings_of(context)
    event, repository, client = (
        pull_request_event(),
        repository_path(),
        GitHub.from_environment(settings.inform),
    )
    try:
        reviews = ReviewsOfThisJob(settings.inform, event.number)
        request = Request.make(settings, approval_source=reviews)
        body, exit_code = _preview(request, event.base_commit)
    except ReconcilerError as error:
        from reconciler.cli.render.plan_markdown import errors_markdown
        from reconciler.cli.workflow_output import annotate_error

        annotate_error(settings, error)
        body, exit_code = errors_markdown([error]), error.exit_code
    marker = Names.of(settings.path).marker("preview")
    put_comment(client, repository, event.number, marker, body)
    return exit_code


def _preview(request: "Request", base: str) -> tuple[str, int]:
    from reconciler.cli import apply_flow
    from reconciler.cli.render.plan_markdown import plan_markdown
    from reconciler.cli.render.plan_text import Outcome
    from reconciler.git.ancestry import Relation, relate
    from reconciler.operations import reconcile

    database = _open_named_database(request.settings)
    try:
        plan = reconcile.preview(database, request.application, request.permission)
    except HistoryRewritten as refused:
        applied = refused.applied_commit
        if relate(request.settings.path.absolute(), base, applied) is not Relation.AHEAD:
            raise
        raise Refused(
            f"{short_commit(applied)} was applied after GitHub made the test merge with "
            f"{short_commit(base)}; update the branch to preview its merge again"
        ) from None
    apply_flow.show(request, plan, Outcome.PREVIEWED)
    body = plan_markdown(plan, request.application.source, Outcome.PREVIEWED)
    return body, Refused.exit_code if plan.is_refused else apply_flow.EXIT_DONE


@command.command(epilog='Example: reconcile github check --base "$BASE" --copy-to preview')
@click.option(
    "--base",
    metavar="COMMIT",
    required=True,
    help="Compare with the file at the merge base of this commit and HEAD.",
)
@click.option(
    "--copy-to", metavar="FOLDER", help="Copy the file into this folder, for the run that comments."
)
@click.pass_context
def check(context: click.Context, *, base: str, copy_to: str | None) -> None:
    """Check the file of a fork's pull request, and compare it with the file at its merge base.

    It needs no database, no token and no secret.
    """
    from reconciler.cli.commands.github_forks import compare
    from reconciler.cli.workflow_output import annotate, print_plainly, set_output, summarize
    from reconciler.git.ancestry import merge_base
    from reconciler.github.names import Names
    from reconciler.rollout_file.file_content import read_content

    settings = settings_of(context)
    if copy_to is not None:
        set_output("artifact", Names.of(settings.path).artifact)
    content = read_content(settings.path)
    if copy_to is not None:
        folder = Path(copy_to)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / settings.path.name).write_bytes(content)
    # The base branch may have moved on: its own changes are not changes of the pull request.
    common = merge_base(settings.path.absolute(), base, "HEAD")
    difference = compare(settings, content, common or base)
    print_plainly(settings, difference.markdown)
    annotate(settings, difference.annotations)
    summarize(difference.markdown)


@command.command(epilog="Example: reconcile github comment")
@click.pass_context
def comment(context: click.Context) -> None:
    """Comment on a fork's pull request after its run has ended (event workflow_run).

    The artifact of that run is not trusted: the command reads one file of it as a rollout file, and
    writes the whole comment itself.
    """
    from reconciler.cli.commands.github_forks import comment_on_run
    from reconciler.cli.workflow_output import annotate_error
    from reconciler.github.client import GitHub, repository_path
    from reconciler.github.comments import put_comment
    from reconciler.github.event import workflow_run_event
    from reconciler.github.names import Names
    from reconciler.github.pull_requests import find_pull_request

    settings = settings_of(context)
    event, repository = workflow_run_event(), repository_path()
    if not event.is_fork:
        settings.inform("not a pull request from a fork: its own run comments")
        return
    client = GitHub.from_environment(settings.inform)
    try:
        pull_request = find_pull_request(client, repository, event.head, event.head_commit)
    except NotFound as gone:
        annotate_error(settings, Stale(str(gone)))
        return
    body = comment_on_run(settings, client, repository, event, pull_request)
    marker = Names.of(settings.path).marker("preview")
    put_comment(client, repository, pull_request.number, marker, body)


@command.command(epilog="Example: reconcile github apply")
@click.pass_context
def apply(context: click.Context) -> int:
    """Apply the file, as reconcile does; succeed with a notice if a newer commit is applied already."""
    from reconciler.cli.commands.github_git import apply_unless_stale

    settings = settings_of(context)
    _open_named_database(settings)
    return apply_unless_stale(settings)


@command.command("write-back", epilog="Example: reconcile github write-back")
@click.pass_context
def write_back(context: click.Context) -> int:
    """Write overrides back to git, and apply the new commits of the branch.

    If the branch refuses pushes, open a pull request for each override, once.
    """
    from reconciler.cli.commands.github_git import write_back_and_apply

    settings = settings_of(context)
    return write_back_and_apply(settings, _open_named_database(settings))


@command.command(epilog="Example: reconcile github promote")
@click.pass_context
def promote(context: click.Context) -> None:
    """Open a pull request, with its blast radius, for each feature that may go to its next stage."""
    from reconciler.cli.commands.github_git import propose_promotions

    settings = settings_of(context)
    propose_promotions(settings, _open_named_database(settings))


@command.command(epilog="Example: reconcile github issue health")
@click.argument("kind", type=click.Choice(["health", "drift"]))
@click.pass_context
def issue(context: click.Context, *, kind: str) -> None:
    """Keep one issue open for each feature that is limited, fails or has drifted; close the others."""
    from reconciler.github.client import GitHub, repository_path
    from reconciler.github.issues import update_issues
    from reconciler.github.names import Names

    settings = settings_of(context)
    repository, client = repository_path(), GitHub.from_environment(settings.inform)
    desired = _incidents(settings) if kind == "health" else _drift(settings)
    changes = update_issues(client, repository, Names.of(settings.path), kind, desired)
    for verb, addresses in (
        ("opened", changes.opened),
        ("updated", changes.updated),
        ("closed", changes.closed),
    ):
        for address in addresses:
            settings.inform(f"{verb} {address}")


def _open_named_database(settings: Settings) -> "Database":
    """Return the database, never the embedded one: on a runner that is empty and deleted with the job."""
    from reconciler.cli.context import open_database

    if not (settings.database_url or os.environ.get("DATABASE_URL")):
        raise SetupInvalid("DATABASE_URL is not set; give the workflow the secret database_url")
    return open_database(settings)


def _incidents(settings: Settings) -> "list[DesiredIssue]":
    from reconciler.cli.render.issues import incident_issue
    from reconciler.github.incidents import read_incidents

    return [incident_issue(each) for each in read_incidents(_open_named_database(settings))]


def _drift(settings: Settings) -> "list[DesiredIssue]":
    from reconciler.cli.render.issues import drift_issue
    from reconciler.operations.drift import read_drift_of_own_schema

    found = read_drift_of_own_schema(_open_named_database(settings))
    return [drift_issue(name, drift) for name, drift in found.items()]
