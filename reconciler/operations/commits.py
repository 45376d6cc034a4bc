"""The applied commit in git: whether it is newer, and the permissions in its messages.

git is imported only when a file has a commit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import (
    BranchBehind,
    FileInvalid,
    HistoryRewritten,
    ReconcilerError,
    Stale,
)
from reconciler.planning.commit_permission import (
    ALLOW_TRAILER,
    AllowingCommit,
    CommitPermission,
    read_permission,
)
from reconciler.planning.plan import Plan
from reconciler.planning.plan_inputs import Source
from reconciler.wording import short_commit

if TYPE_CHECKING:
    from reconciler.rollout_file.model import Rollout


def require_newer(source: Source, applied_commit: str | None, *, accepts_rewrite: bool) -> None:
    """Raise unless the file's commit is the applied one or descends from it, or `accepts_rewrite` is true.

    Raises:
        Stale: a newer commit is applied already.
        HistoryRewritten: the commits are unrelated.
    """
    if source.commit is None or applied_commit is None:
        return
    from reconciler.git.ancestry import Relation, relate

    match relate(file_of(source), applied_commit, source.commit):
        case Relation.SAME | Relation.AHEAD:
            return
        case _ if accepts_rewrite:
            return
        case Relation.BEHIND:
            raise _stale(source.commit, applied_commit)
        case _:
            raise HistoryRewritten(source.commit, applied_commit)


@contextmanager
def refusing_with_the_remotes_answer(source: Source) -> Iterator[None]:
    """Refuse a commit also by the remote's branch; called when no transaction waits for the answer."""
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
        relation, branch = relate_at_remote(file_of(source), applied, commit)
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
        f"{short_commit(commit)} is older than {short_commit(applied_commit)}, which is applied already; "
        "nothing was written; no action is needed"
    )


def file_of(source: Source) -> Path:
    """Return the absolute path of the file with the history."""
    return Path(source.place).absolute()


def commit_permission(source: Source, plan: Plan) -> CommitPermission:
    """Return the permissions in the messages of the commits since the last apply."""
    if source.commit is None:
        return CommitPermission()
    from reconciler.git.ancestry import changes_with

    found = changes_with(file_of(source), ALLOW_TRAILER, plan.applied_commit, source.commit)
    return read_permission(
        tuple(
            AllowingCommit(
                commit=each.commit,
                message=each.message,
                changes_file=each.before != each.after,
                before=_parsed(each.before),
                after=_parsed(each.after),
                later=tuple(map(_parsed, each.later)),
            )
            for each in found
        ),
        {each.name for each in plan.features},
    )


def _parsed(content: bytes | None) -> "Rollout | None":
    from reconciler.rollout_file import parse_rollout

    try:
        return None if content is None else parse_rollout(content).rollout
    except FileInvalid:
        return None
