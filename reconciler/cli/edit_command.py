"""The parts of the editing commands: their options, the edit, its report, and the next step.

No database is used unless `--apply` asks for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from reconciler.cli.context import choose_feature
from reconciler.cli.options import Format, Settings
from reconciler.cli.output import print_result, show_result
from reconciler.cli.render.text import for_line
from reconciler.cli.types import require_reason
from reconciler.errors import NotFound, ReconcilerError, Refused
from reconciler.wording import short_commit

if TYPE_CHECKING:
    from reconciler.operations.edit import Edit, Edited
    from reconciler.rollout_file.model import Rollout

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What to do with the edited file."""

    commit: bool = False
    push: bool = False
    apply: bool = False
    yes: bool = False
    reason: str | None = None

    @classmethod
    def make(
        cls,
        *,
        commit: bool = False,
        push: bool = False,
        apply: bool = False,
        yes: bool = False,
        reason: str | None = None,
    ) -> Self:
        """Return the steps that the options request; refuse an option that needs another one."""
        if reason is not None and not (commit or push):
            raise click.UsageError("--reason needs --commit or --push")
        if reason is not None:
            require_reason(reason)
        if yes and not apply:
            raise click.UsageError("--yes needs --apply")
        return cls(commit or push, push, apply, yes, reason)


NOTHING_AFTERWARDS = Afterwards()


def editing_options(command: Command) -> Command:
    """Add the options of every editing command, for `Afterwards.make`."""
    for option in (
        click.option("--yes", "-y", is_flag=True, help="With --apply: apply without a question."),
        click.option("--apply", is_flag=True, help="Apply the file at once."),
        click.option("--push", is_flag=True, help="Commit the file and push the current branch."),
        click.option("--commit", is_flag=True, help="Commit the file, and no other change."),
        click.option("--reason", metavar="TEXT", help="The commit's message."),
    ):
        command = option(command)
    return command


def edit_rollout(
    settings: Settings,
    make_edit: "Callable[[Rollout, bytes], Edit]",
    afterwards: Afterwards = NOTHING_AFTERWARDS,
) -> dict[str, Any]:
    """Edit the file and do the requested steps; print the diff and the next step; return everything.

    Raises:
        EditRefused: the file would be wrong, or cannot be edited so; nothing is written.
        FileInvalid: it is wrong already.
        SetupInvalid: git cannot do a requested step; an edit that only narrows is applied first.
    """
    from reconciler.cli.render.file_diff import file_diff
    from reconciler.operations.edit import Reach, edit_file
    from reconciler.rollout_file import parse_rollout

    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    edited = edit_file(
        settings.path,
        lambda content: make_edit(parse_rollout(content).rollout, content),
        reach=Reach.PUSH if afterwards.push else Reach.COMMIT if afterwards.commit else Reach.FILE,
        message=afterwards.reason,
    )
    edit = edited.edit
    diff = file_diff(settings.file, edited.before, edit.content)
    if chosen is Format.TEXT:
        print_result(settings, diff or "\n".join(map(for_line, edit.remarks)))
    _report(settings, edited, afterwards)
    if edited.failure is not None and not (afterwards.apply and edit.narrows):
        raise edited.failure
    plan = _apply_edited(settings, edited, afterwards) if afterwards.apply else None
    if plan is None and (edited.is_changed or edited.commit):
        settings.inform(_next_step(settings, afterwards))
    if plan is not None and not plan["refused"] and edited.pushed is None:
        settings.inform(_next_step_of_applied(settings, edited))
    done = {
        "feature": edit.feature,
        "file": settings.file,
        "changed": edited.is_changed,
        "diff": click.unstyle(diff),
        "remarks": list(edit.remarks),
        "commit": edited.commit,
        "pushed": edited.pushed,
        "plan": plan,
    }
    if chosen is Format.JSON:
        show_result(settings, done, str)
    if edited.failure is not None:
        raise edited.failure
    return done


def exit_code(done: dict[str, Any]) -> int:
    """Return the exit code of an editing command: that of its apply, if there was one."""
    return Refused.exit_code if done["plan"] is not None and done["plan"]["refused"] else 0


def feature_in_file(settings: Settings, rollout: "Rollout") -> str:
    """Return the feature of a command that edits the file: the named one, or the only one.

    Raises:
        NotFound: the file has no such feature, or no feature at all.
        click.UsageError: it has several and none is named.
    """
    if not rollout.features:
        raise NotFound(f"{settings.file} has no feature; write one under features first")
    return choose_feature(settings, rollout.features)


def _report(settings: Settings, edited: "Edited", afterwards: Afterwards) -> None:
    from reconciler.rollout_file.characters import cut

    if edited.is_changed:
        for remark in edited.edit.remarks:
            settings.inform(for_line(remark))
    if edited.commit is not None:
        subject = (afterwards.reason or edited.edit.message).partition("\n")[0]
        settings.inform(f"committed {short_commit(edited.commit)}: {cut(subject)}")
    elif afterwards.commit and edited.failure is None:
        settings.inform(f"nothing to commit: HEAD has this {settings.file} already")
    if edited.pushed is not None:
        settings.inform(f"pushed to {edited.pushed}")
    if edited.holds_earlier_changes:
        settings.inform(f"the commit also contains earlier changes of {settings.file}")


def _apply_edited(settings: Settings, edited: "Edited", afterwards: Afterwards) -> dict[str, Any]:
    """Apply the edited file; where git failed before, a failure of the apply does not hide that."""
    try:
        return _apply(settings, yes=afterwards.yes)
    except (ReconcilerError, click.Abort):
        if edited.failure is not None:
            settings.show_error(edited.failure)
        raise


def _apply(settings: Settings, *, yes: bool) -> dict[str, Any]:
    from reconciler.cli import apply_flow

    request = apply_flow.Request.make(settings)
    apply_flow.require_commit(request, is_asked_for=None)
    return apply_flow.apply_as_part(request, yes=yes).model_dump(mode="json")


def _next_step_of_applied(settings: Settings, edited: "Edited") -> str:
    step = "push the commit" if edited.commit is not None else f"commit {settings.file} and push it"
    return f"Next: {step}; the next apply of a file without this edit undoes it"


def _next_step(settings: Settings, afterwards: Afterwards) -> str:
    file, program = settings.file, settings.program
    merge = f"open a pull request; its merge applies it. To apply it now: {program}"
    if afterwards.push:
        return f"Next: {merge}"
    if afterwards.commit:
        return f"Next: push it and {merge}"
    return (
        f"{file} is edited. To see which repositories gain and lose: {program} --dry-run. "
        f"Next: commit it and {merge}"
    )
