"""What `reconcile github` does with git: carrying overrides into it, and proposing the next stage."""

import os
from typing import TYPE_CHECKING

import click

from reconciler.cli.render.escape import for_line, for_markdown
from reconciler.cli.settings import Settings
from reconciler.errors import Stale
from reconciler.github.client import GitHub, repository_path
from reconciler.github.pull_requests import Proposal, is_proposed, propose

if TYPE_CHECKING:
    from reconciler.database.transactions import Database


def carry(settings: Settings, database: "Database") -> int:
    """Carry overrides into git, by a pull request where the branch takes no pushes; apply what came.

    A push with a job's own token starts no workflow, so what is new on the branch is applied here.
    """
    from reconciler import writing_back
    from reconciler.cli.render.annotations import Annotation, Level
    from reconciler.cli.workflow_output import annotate, print_plainly
    from reconciler.cli.write_back import report_text
    from reconciler.git.following import follow_upstream

    proposals = _Proposals()
    report = writing_back.write_back(database, settings.path, propose=proposals.open)
    for each in report.overrides:
        if each.branch is not None:
            proposals.open_where_none_is(each.branch, each.feature)
    print_plainly(settings, report_text(report))
    if report.problem is not None:
        message = f"{report.problem}; what is in force stays in force, and the next run carries it"
        annotate(settings, [Annotation(Level.WARNING, message, "not in git yet")])
    if follow_upstream(settings.path.absolute().parent):
        return apply_unless_stale(settings)
    return 0


def apply_unless_stale(settings: Settings) -> int:
    """Apply the file; where something newer is applied already, say so and succeed."""
    from reconciler.cli import applying
    from reconciler.cli.workflow_output import annotate_error

    try:
        request = applying.Request.make(settings, allowed=frozenset(), accept_history_rewrite=False)
        applying.require_commit(request, is_asked_for=True)
        return applying.apply(request)
    except Stale as stale:
        annotate_error(settings, stale)
        return 0


class _Proposals:
    """Opens a pull request for each branch that was pushed, once."""

    def __init__(self) -> None:
        self._github = GitHub.from_environment()
        self._repository = repository_path()
        self._base = os.environ.get("GITHUB_REF_NAME") or "main"
        self._seen: set[str] = set()

    def open(self, branch: str, title: str, text: str) -> None:
        """Open one for a branch, with its title and text, or find the one that is there."""
        self._seen.add(branch)
        proposal = Proposal(branch, self._base, for_line(title), for_markdown(text))
        proposed = propose(self._github, self._repository, proposal)
        is_declined = "closed by people, and stays so:" if proposed.is_declined else "waits:"
        click.echo(f"pull request {'opened:' if proposed.is_new else is_declined} {proposed.url}")

    def open_where_none_is(self, branch: str, feature: str) -> None:
        """Open one for a branch that was pushed where nobody could open one, as from a laptop."""
        if branch in self._seen:
            return
        if not is_proposed(self._github, self._repository, branch, self._base):
            text = "It is in force already; the branch's commit tells why."
            self.open(branch, f"Carry what limits {feature} into the rollout file", text)
