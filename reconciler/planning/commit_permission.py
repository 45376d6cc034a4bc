"""The permissions of a commit's trailer `Rollout-Allow`: guards, for the features that it changes.

A permission counts only in a commit that changes the file. With a feature's name it counts for that
feature. Without a name it counts for each feature with a changed field that the guard checks. It is over
when a later commit reverts the change.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final

from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.guards import CHECKED_FIELDS, read_allowed
from reconciler.rollout_file.model import Feature, Rollout
from reconciler.wording import short_commit

ALLOW_TRAILER: Final = "Rollout-Allow"
FREEZE_REASON_TRAILER: Final = "Freeze-Reason"

_LINE: Final = re.compile(rf"^[ \t*>-]*{ALLOW_TRAILER}[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)
"""Anywhere in a message: a squash merge joins the messages of its commits, often as a list."""
_FREEZE_REASON: Final = re.compile(
    rf"^[ \t*>-]*{FREEZE_REASON_TRAILER}[ \t]*:(.*\S.*)$", re.IGNORECASE | re.MULTILINE
)

_REVERTED: Final = (
    "a later commit reverts its change; allow it again in the commit that changes it again"
)

_NOT_BY_A_COMMIT: Final = "approval does not count: a change does not approve itself"

_NO_REASON: Final = (
    f"freeze does not count, since the message has no line {FREEZE_REASON_TRAILER}: TEXT"
)


@dataclass(frozen=True, slots=True)
class AllowingCommit:
    """A commit whose message has the trailer."""

    commit: str
    message: str
    changes_file: bool
    before: Rollout | None
    """The file before the commit; None if there was none, or no valid one."""
    after: Rollout | None
    later: tuple[Rollout | None, ...] = ()
    """The file at each later commit that changed it; None if it is not valid."""


@dataclass(frozen=True, slots=True)
class CommitPermission:
    """The permissions of commits, and notes on the lines that allow nothing."""

    allowed: frozenset[Allowed] = frozenset()
    notes: tuple[str, ...] = ()


def read_permission(
    commits: tuple[AllowingCommit, ...], features: Collection[str]
) -> CommitPermission:
    """Return the permissions in the messages of commits; `features` are the features of the plan."""
    allowed: set[Allowed] = set()
    notes: list[str] = []
    for commit in commits:
        named, faults = _read_lines(commit.message, features)
        where = f"{ALLOW_TRAILER} in {short_commit(commit.commit)}"
        notes += [f"{where}: {fault}" for fault in faults]
        reason = _freeze_reason(commit.message)
        if reason is None and any(each.guard is GuardName.FREEZE for each in named):
            notes.append(f"{where}: {_NO_REASON}")
        if any(each.guard is GuardName.APPROVAL for each in named):
            notes.append(f"{where}: {_NOT_BY_A_COMMIT}")
        for permission in _with_reason(named, reason):
            given = set(_counting(permission, commit))
            found = {each for each in given if not _is_reverted(commit, each.feature)}
            if not found:
                why = _REVERTED if given else _why(commit)
                notes.append(f"{where}: {permission.guard} does not count, since {why}")
            allowed |= found
    return CommitPermission(frozenset(allowed), tuple(notes))


def _read_lines(
    message: str, features: Collection[str]
) -> tuple[tuple[Allowed, ...], tuple[str, ...]]:
    """Return the permissions in the lines of a message, and what is wrong with the lines."""
    lines = _LINE.findall(message)
    if not lines:
        return (), (f"no line has the form {ALLOW_TRAILER}: GUARD",)
    named: list[Allowed] = []
    faults: list[str] = []
    # Each line by itself: a comment ends with its line.
    for line in lines:
        allowed, unknown = read_allowed(line)
        named += allowed
        faults += [f"{name!r} is not the name of a guard" for name in unknown]
        if not allowed and not unknown:
            faults.append("a line names no guard")
    faults += [
        f"{each.guard} has no effect, since there is no feature {each.feature!r}"
        for each in named
        if each.feature is not None and each.feature not in features
    ]
    return tuple(named), tuple(faults)


def _with_reason(named: tuple[Allowed, ...], reason: str | None) -> Iterator[Allowed]:
    """Yield permissions; those of `freeze` with its reason, and not without one; none of `approval`."""
    for each in named:
        if each.guard is GuardName.APPROVAL:
            continue
        if each.guard is not GuardName.FREEZE:
            yield each
        elif reason is not None:
            yield replace(each, reason=reason)


def _freeze_reason(message: str) -> str | None:
    found = _FREEZE_REASON.findall(message)
    return found[-1].strip() if found else None


def _counting(permission: Allowed, commit: AllowingCommit) -> Iterator[Allowed]:
    if not commit.changes_file:
        return
    permission = replace(permission, commit=commit.commit)
    if permission.feature is not None:
        yield permission
        return
    for name in _changed(permission.guard, commit):
        yield replace(permission, feature=name)


def _is_reverted(commit: AllowingCommit, feature: str | None) -> bool:
    """Return whether a later commit has all that the commit changed of a feature as it was before."""
    before, after = _of(commit.before, feature), _of(commit.after, feature)
    if before == after:
        # The commit changes something else, and allows a change of this feature.
        return any(each is not None and each == commit.before for each in commit.later)
    changed = [
        name
        for name in Feature.model_fields
        if getattr(before, name, None) != getattr(after, name, None)
    ]
    return any(
        all(
            getattr(_of(each, feature), name, None) == getattr(before, name, None)
            for name in changed
        )
        for each in commit.later
        if each is not None
    )


def _of(rollout: Rollout | None, feature: str | None) -> Feature | None:
    return None if rollout is None or feature is None else rollout.features.get(feature)


def _changed(guard: GuardName, commit: AllowingCommit) -> Iterator[str]:
    """Yield the features in which a commit changes a field that the guard checks."""
    before = {} if commit.before is None else commit.before.features
    after = {} if commit.after is None else commit.after.features
    recategorises = guard in {
        GuardName.AUDIENCE_MOVED,
        GuardName.FREEZE,
    } and _of_all_features(commit.before) != _of_all_features(commit.after)
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if recategorises or old is None or new is None or _differ(old, new, CHECKED_FIELDS[guard]):
            yield name


def _differ(old: Feature, new: Feature, fields: frozenset[str]) -> bool:
    return any(getattr(old, field) != getattr(new, field) for field in fields)


def _of_all_features(rollout: Rollout | None) -> object:
    return None if rollout is None else (rollout.categories, rollout.test_repositories)


def _why(commit: AllowingCommit) -> str:
    if not commit.changes_file:
        return "that commit does not change the file"
    return "that commit changes no field that the guard looks at; name the feature behind the guard"
