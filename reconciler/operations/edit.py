"""Editing the rollout file: the edit, then on request the commit and the push.

An edit is made once: a second request does not change the file again, but still commits and pushes
what is missing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import ReconcilerError
from reconciler.rollout_file.editing import edit_rollout_file, with_table, with_value, without_value
from reconciler.wording import show_number

if TYPE_CHECKING:
    from reconciler.git.user_commit import Branch
    from reconciler.rollout_file.model import Rollout


class Reach(Enum):
    """The last step of an edit; it includes those before it."""

    FILE = auto()
    COMMIT = auto()
    PUSH = auto()


@dataclass(frozen=True, slots=True)
class Edit:
    """The edit of one command."""

    feature: str | None
    """The feature that it changes; None if it changes something of all features."""
    content: bytes
    """The file's content after it."""
    message: str
    """The default message of its commit."""
    remarks: tuple[str, ...] = ()
    """Requested values that the file already has, one sentence each."""
    narrows: bool = False
    """Whether it only takes the feature from repositories: an apply of it need not wait for git."""


MakeEdit = Callable[[bytes], Edit]
"""Returns the edit of a file's content; raises `EditRefused` or `FileInvalid`."""


@dataclass(frozen=True, slots=True)
class Edited:
    """The result of an edit."""

    edit: Edit
    before: bytes
    commit: str | None = None
    """The commit; None if none was requested or HEAD has the content already."""
    holds_earlier_changes: bool = False
    """Whether the commit also has changes that the file had before."""
    pushed: str | None = None
    """The remote's branch, as REMOTE/BRANCH; None if no push was requested."""
    failure: ReconcilerError | None = None
    """The reason why the commit or the push failed; the file is edited."""

    @property
    def is_changed(self) -> bool:
        """Whether the file was changed."""
        return self.before != self.edit.content


def edit_file(
    path: Path, make_edit: MakeEdit, *, reach: Reach = Reach.FILE, message: str | None = None
) -> Edited:
    """Edit a file, and commit and push it up to `reach`; return what was done.

    Args:
        path: the rollout file.
        make_edit: returns the edit of its content.
        reach: the last step.
        message: the message of the commit; None for the edit's own.

    Raises:
        EditRefused: the file would be wrong, or cannot be edited so; nothing is written.
        FileInvalid: it is wrong already.
        SetupInvalid: git cannot do the requested steps; nothing is written.
    """
    branch: Branch | None = None
    was_changed = False
    if reach is not Reach.FILE:
        from reconciler.git import user_commit

        user_commit.require_repository(path)
        branch = user_commit.find_branch(path) if reach is Reach.PUSH else None
        was_changed = user_commit.is_changed(path)
    made: list[Edit] = []

    def make(content: bytes) -> bytes:
        made.append(make_edit(content))
        return made[-1].content

    before, _ = edit_rollout_file(path, make)
    (edit,) = made
    if reach is Reach.FILE:
        return Edited(edit, before)
    from reconciler.git import user_commit

    commit: str | None = None
    is_mixed = False
    try:
        commit = user_commit.commit_file(path, message or edit.message)
        is_mixed = commit is not None and was_changed and before != edit.content
        if branch is not None:
            user_commit.push_branch(path, branch)
    except ReconcilerError as failure:
        return Edited(edit, before, commit, is_mixed, failure=failure)
    return Edited(edit, before, commit, is_mixed, None if branch is None else branch.shown)


def set_percentage(
    content: bytes, rollout: "Rollout", feature: str, percentage: Decimal | str
) -> Edit:
    """Return the edit that sets a feature's percentage; the file's reader refuses other text than numbers."""
    shown = percentage if isinstance(percentage, str) else show_number(percentage)
    message = f"Set {feature} to {shown} percent"
    if rollout.features[feature].percentage == percentage:
        return Edit(feature, content, message, (f"{feature} is at {shown} already",))
    before = rollout.features[feature].percentage
    edited = with_value(content, ("features", feature, "percentage"), percentage)
    narrows = isinstance(percentage, Decimal) and percentage < before
    return Edit(feature, edited, message, narrows=narrows)


def set_strategy(content: bytes, rollout: "Rollout", feature: str, strategy: str) -> Edit:
    """Return the edit that sets a feature's strategy."""
    message = f"Set the strategy of {feature} to {strategy}"
    if rollout.features[feature].strategy == strategy:
        remark = f"the strategy of {feature} is {strategy} already"
        return Edit(feature, content, message, (remark,))
    edited = with_value(content, ("features", feature, "strategy"), strategy)
    return Edit(feature, edited, message)


def set_target(
    content: bytes,
    rollout: "Rollout",
    name: str,
    kind: str,
    lists: Mapping[str, Sequence[str]],
) -> Edit:
    """Return the edit that writes a receiver of notifications, in place of one with its name.

    Args:
        content: the file.
        rollout: the content of the file, as values.
        name: of the receiver.
        kind: its service; one that does not exist is refused by the file.
        lists: `events`, `severities` and `features`; an empty one is not written.
    """
    message = f"Send notifications to {name}"
    value: dict[str, Any] = {
        "kind": kind,
        **{key: tuple(each) for key, each in lists.items() if each},
    }
    there = rollout.notifications.get(name)
    if there is not None and there.model_dump(mode="json", exclude_defaults=True) == {
        key: list(each) if isinstance(each, tuple) else each for key, each in value.items()
    }:
        return Edit(None, content, message, (f"{name} is a receiver already",))
    if there is not None:
        content = without_value(content, ("notifications", name))
    return Edit(None, with_table(content, ("notifications", name), value), message)


def remove_target(content: bytes, name: str) -> Edit:
    """Return the edit that removes a receiver of notifications."""
    edited = without_value(content, ("notifications", name))
    return Edit(None, edited, f"Send no more notifications to {name}")


def set_auto_rollback(content: bytes, rollout: "Rollout", feature: str, *, is_on: bool) -> Edit:
    """Return the edit that turns a feature's automatic rollback on or off."""
    state = "on" if is_on else "off"
    message = f"Turn automatic rollback of {feature} {state}"
    if rollout.features[feature].health.auto_rollback is is_on:
        remark = f"automatic rollback of {feature} is {state} already"
        return Edit(feature, content, message, (remark,))
    edited = with_value(content, ("features", feature, "health", "auto_rollback"), is_on)
    return Edit(feature, edited, message)
