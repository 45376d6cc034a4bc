"""Pull requests from forks: their file compared with the base's, without a database and without trust."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.cli.options import Settings
from reconciler.cli.render.annotations import Annotation, Level
from reconciler.errors import ReconcilerError
from reconciler.planning.plan import Plan
from reconciler.rollout_file.reader import Document
from reconciler.wording import short_commit

if TYPE_CHECKING:
    from reconciler.github.client import GitHub
    from reconciler.github.event import WorkflowRunEvent
    from reconciler.github.pull_requests import FoundPullRequest


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between a file and the file that it would replace."""

    head: Document
    plan: Plan

    @property
    def markdown(self) -> str:
        """The comment of a pull request."""
        from reconciler.cli.render.plan_markdown import difference_markdown

        return difference_markdown(self.plan, self.head.path)

    @property
    def annotations(self) -> Iterator[Annotation]:
        """Annotations at the file's lines; a refusal is a warning here, since nothing is applied."""
        from reconciler.cli.render.annotations import plan_annotations

        for each in plan_annotations(self.plan, self.head):
            yield replace(each, level=Level.WARNING) if each.level is Level.ERROR else each


def compare(settings: Settings, content: bytes, base: str) -> Difference:
    """Read a file's content, from any source, and compare it with the file at a commit.

    Raises:
        FileInvalid: all findings in it, or in the file at that commit.
        SetupInvalid: the clone does not have the commit.
    """
    from reconciler.git.head import content_at
    from reconciler.planning.file_comparison import plan_difference
    from reconciler.rollout_file import parse_rollout

    head = parse_rollout(content, path=settings.file)
    before = content_at(settings.path, base)
    shown = f"{settings.file} at {short_commit(base)}"
    replaced = parse_rollout(b"version: 1\n" if before is None else before, path=shown)
    return Difference(head, plan_difference(replaced.rollout, head.rollout))


def comment_on_run(
    settings: Settings,
    github: "GitHub",
    repository: str,
    event: "WorkflowRunEvent",
    pull_request: "FoundPullRequest",
) -> str:
    """Return the comment for the artifact of a fork's run, valid or not."""
    from reconciler.cli.render.plan_markdown import errors_markdown
    from reconciler.github.artifacts import read_artifact
    from reconciler.github.commits import merge_base_on_github
    from reconciler.github.names import Names

    try:
        artifact = Names.of(settings.path).artifact
        content = read_artifact(github, repository, event.run, artifact, settings.path.name)
        base = merge_base_on_github(github, repository, pull_request.base_commit, event.head_commit)
        return compare(settings, content, base).markdown
    except ReconcilerError as error:
        return errors_markdown([error])
