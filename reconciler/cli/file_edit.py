"""What the editing commands share: the file is edited, its diff shown, and what comes next done or said.

An edit is made once: asked for again it changes nothing, and what was left undone of committing, pushing
and applying is done. No database is imported unless `--apply` asks for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from reconciler.cli.arguments import require_words
from reconciler.cli.context import require_feature
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import print_result, show_result
from reconciler.cli.render.escape import for_line
from reconciler.errors import NotFound, Refused
from reconciler.wording import short_commit

if TYPE_CHECKING:
    from reconciler.git.user_commit import Branch
    from reconciler.rollout_file.model import Rollout

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Edit:
    """What one command makes of the file."""

    feature: str | None
    """The feature that it is about; None for what concerns all."""
    content: bytes
    message: str
    """What it does, as a commit tells it."""
    remarks: tuple[str, ...] = ()
    """What the file said already, a sentence each."""


Editor = Callable[[bytes], Edit]
"""Makes the edit of a file's content; raises `EditRefused` or `FileInvalid`."""


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What is to be done with the edited file."""

    commit: bool
    push: bool
    apply: bool
    yes: bool
    reason: str | None

    @classmethod
    def make(cls, *, commit: bool, push: bool, apply: bool, yes: bool, reason: str | None) -> Self:
        """Return what the options ask for; refuse those that mean nothing without another."""
        if reason is not None and not (commit or push):
            raise click.UsageError("--reason goes with --commit or --push")
        if reason is not None:
            require_words(reason)
        if yes and not apply:
            raise click.UsageError("--yes goes with --apply")
        return cls(commit or push, push, apply, yes, reason)


def editing_options(command: Command) -> Command:
    """Add what every editing command takes, for `Afterwards.make`."""
    for option in (
        click.option("--yes", "-y", is_flag=True, help="With --apply: apply without asking."),
        click.option("--apply", is_flag=True, help="Reconcile at once."),
        click.option("--push", is_flag=True, help="Commit, and push the current branch."),
        click.option("--commit", is_flag=True, help="Commit the file, and nothing else."),
        click.option("--reason", metavar="TEXT", help="Why: the commit's message."),
    ):
        command = option(command)
    return command


def edit_file(
    context: click.Context, editor: Callable[[Settings, bytes], Edit], options: dict[str, Any]
) -> dict[str, Any]:
    """Edit the file, show the diff, do what the options ask for, say what comes next; return all that.

    Raises:
        EditRefused: the file would be wrong, or can't be edited so; nothing is written.
        FileInvalid: it is wrong as it is.
        SetupInvalid: git can't do what it is asked for.
    """
    from reconciler.cli.render.file_diff import file_diff
    from reconciler.rollout_file.editing import edit_rollout_file

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    afterwards = Afterwards.make(**options)
    made: list[Edit] = []

    def make_edit(content: bytes) -> bytes:
        made.append(editor(settings, content))
        return made[-1].content

    carrier = _Carrier.prepare(settings, afterwards)
    before, after = edit_rollout_file(settings.path, make_edit)
    (edit,) = made
    diff = file_diff(settings.file, before, after)
    if chosen is Format.TEXT:
        print_result(settings, diff or "\n".join(map(for_line, edit.remarks)))
    if diff:
        for remark in edit.remarks:
            settings.say(for_line(remark))
    done: dict[str, Any] = {
        "feature": edit.feature,
        "file": settings.file,
        "changed": before != after,
        "diff": click.unstyle(diff),
        "remarks": list(edit.remarks),
        **carrier.carry(afterwards.reason or edit.message),
        "plan": None,
    }
    if done["commit"] and diff and carrier.was_changed:
        settings.say(f"the commit holds what was changed in {settings.file} before, too")
    if afterwards.apply:
        done["plan"] = _apply(settings, yes=afterwards.yes)
    elif diff or done["commit"]:
        settings.say(_what_comes_next(settings, afterwards))
    if chosen is Format.JSON:
        show_result(settings, done, str)
    if done["plan"] is not None and done["plan"]["refused"]:
        context.exit(Refused.exit_code)
    return done


def read_rollout(content: bytes) -> "Rollout":
    """Return what a file's content says.

    Raises:
        FileInvalid: it is wrong.
    """
    from reconciler.rollout_file import parse_rollout

    return parse_rollout(content).rollout


def feature_in_file(settings: Settings, rollout: "Rollout") -> str:
    """Return the feature that a command means: the one named, or the file's only one.

    Raises:
        NotFound: the file has no such feature, or none at all.
        click.UsageError: it has several and none is named.
    """
    if not rollout.features:
        raise NotFound(f"{settings.file} has no feature; write one under features first")
    if settings.feature is not None:
        require_feature(settings.feature, rollout.features)
        return settings.feature
    if len(rollout.features) > 1:
        raise click.UsageError(
            f"there are several features, name one with --feature: {', '.join(rollout.features)}"
        )
    return next(iter(rollout.features))


@dataclass(frozen=True, slots=True)
class _Carrier:
    """Carries the edited file into git, as far as it is asked to."""

    settings: Settings
    afterwards: Afterwards
    branch: "Branch | None"
    was_changed: bool
    """Whether the file had changes before, that the commit will hold too."""

    @classmethod
    def prepare(cls, settings: Settings, afterwards: Afterwards) -> Self:
        """See that git can be asked for what is wanted, before anything is written."""
        if not afterwards.commit:
            return cls(settings, afterwards, None, was_changed=False)
        from reconciler.git.user_commit import find_branch, is_changed, require_repository

        require_repository(settings.path)
        branch = find_branch(settings.path) if afterwards.push else None
        return cls(settings, afterwards, branch, is_changed(settings.path))

    def carry(self, message: str) -> dict[str, str | None]:
        """Commit and push as asked; return the commit, where there was one to make, and the branch."""
        if not self.afterwards.commit:
            return {"commit": None, "pushed": None}
        from reconciler.git.user_commit import commit_file, push_branch
        from reconciler.rollout_file.characters import cut

        settings = self.settings
        commit = commit_file(settings.path, message)
        if commit is None:
            settings.say(f"nothing to commit: HEAD has {settings.file} so")
        else:
            subject = message.partition("\n")[0]
            settings.say(f"committed {short_commit(commit)}: {cut(subject)}")
        if self.branch is None:
            return {"commit": commit, "pushed": None}
        push_branch(settings.path, self.branch)
        settings.say(f"pushed to {self.branch.shown}")
        return {"commit": commit, "pushed": self.branch.shown}


def _apply(settings: Settings, *, yes: bool) -> dict[str, Any]:
    from reconciler.cli import apply_flow as applying

    request = applying.Request.make(settings, allowed=frozenset(), accept_history_rewrite=False)
    applying.require_commit(request, is_asked_for=None)
    return applying.apply_as_part(request, yes=yes).model_dump(mode="json")


def _what_comes_next(settings: Settings, afterwards: Afterwards) -> str:
    file, program = settings.file, settings.program
    merged = f"open a pull request, whose merge applies it; or apply it now: {program}"
    if afterwards.push:
        return f"Next: {merged}"
    if afterwards.commit:
        return f"Next: push it and {merged}"
    return f"{file} is edited. See who gains and loses: {program} --dry-run. Next: commit it and {merged}"
