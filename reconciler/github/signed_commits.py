"""Write-back's commits by GitHub's API, which signs them; rules that ask for signatures accept them.

The mutation `createCommitOnBranch` signs the commits of every token, but keeps no executable bit and
makes no commit with two parents. These commits are stored as objects of git (`git_objects`).
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import NotFound, OutcomeUnknown, ReconcilerError, SetupInvalid
from reconciler.git.quarantine import PushOutcome, Quarantine
from reconciler.git.write_back import Change, Published, TipFile
from reconciler.github.client import GitHub
from reconciler.github.git_objects import ObjectStore, StoredCommit

_PLAIN_FILE: Final = "100644"
_COMMIT: Final = """\
mutation ($input: CreateCommitOnBranchInput!) {
  createCommitOnBranch(input: $input) { commit { oid } }
}
"""
_MADE: Final = "GitHub made the commits"


@dataclass(frozen=True, slots=True)
class SignedCommits:
    """Makes commits on branches of a repository on GitHub, as a form of `Publish`."""

    github: GitHub
    repository: str
    """As a path: `/repos/owner/name`."""

    def __call__(
        self,
        place: Quarantine,
        tip: TipFile,
        branch: str,
        changes: Sequence[Change],
        outdated: str | None = None,
    ) -> Published:
        """Write a commit for each change on the tip, each only where the branch is at the one before."""
        if outdated is None and place.look([branch]).get(branch) != tip.commit:
            # A new branch, or one that a killed run left behind: at a commit that GitHub has.
            place.push(tip.commit, branch)
        if outdated is None and tip.levels[-1].mode == _PLAIN_FILE:
            return self._on_branch(tip, branch, changes)
        return self._as_objects(place, tip, branch, changes, outdated)

    def _on_branch(self, tip: TipFile, branch: str, changes: Sequence[Change]) -> Published:
        commits: list[str] = []
        try:
            for change in changes:
                parent = commits[-1] if commits else tip.commit
                commits.append(self._commit(branch, parent, tip.path, change))
        except (SetupInvalid, NotFound) as refused:
            return Published(tuple(commits), PushOutcome.DECLINED, str(refused))
        except ReconcilerError as failure:
            return Published(tuple(commits), PushOutcome.UNCERTAIN, str(failure))
        return Published(tuple(commits), PushOutcome.UNCERTAIN, _MADE)

    def _commit(self, branch: str, parent: str, path: str, change: Change) -> str:
        headline, _, body = change.message.partition("\n")
        addition = {"path": path, "contents": base64.b64encode(change.content).decode()}
        made: Any = self.github.mutate(
            _COMMIT,
            {
                "input": {
                    "branch": {
                        "repositoryNameWithOwner": self.repository.removeprefix("/repos/"),
                        "branchName": branch,
                    },
                    "expectedHeadOid": parent,
                    "message": {"headline": headline, "body": body.strip("\n")},
                    "fileChanges": {"additions": [addition]},
                }
            },
        )
        commit = made["createCommitOnBranch"]["commit"]
        if commit is None:
            raise OutcomeUnknown("GitHub's answer names no commit; it may have been made")
        return str(commit["oid"])

    def _as_objects(
        self,
        place: Quarantine,
        tip: TipFile,
        branch: str,
        changes: Sequence[Change],
        outdated: str | None,
    ) -> Published:
        """Store all commits, then move the branch to the last one: it gets all of them or none."""
        store = ObjectStore(self.github, self.repository)
        base = str(place.git.rev_parse(f"{tip.commit}^{{tree}}"))
        parents = [tip.commit] if outdated is None else [outdated, tip.commit]
        stored: list[StoredCommit] = []
        try:
            for change in changes:
                mode = tip.levels[-1].mode
                stored.append(store.add_commit(base, tip.path, mode, change, parents))
                parents = [stored[-1].id]
        except (SetupInvalid, NotFound) as refused:
            return Published((), PushOutcome.DECLINED, str(refused))
        except ReconcilerError as failure:
            return Published((), PushOutcome.UNCERTAIN, str(failure))
        commits = tuple(each.id for each in stored)
        try:
            store.move_branch(branch, commits[-1])
        except (SetupInvalid, NotFound) as refused:
            # GitHub refuses a branch that moved or is gone with the same status as a rule does.
            is_unmoved = place.look([branch]).get(branch) == (outdated or tip.commit)
            outcome = PushOutcome.DECLINED if is_unmoved else PushOutcome.UNCERTAIN
            return Published(commits, outcome, f"{refused}{_why_unsigned(stored)}")
        except ReconcilerError as failure:
            return Published(commits, PushOutcome.UNCERTAIN, str(failure))
        return Published(commits, PushOutcome.UNCERTAIN, _MADE)


def _why_unsigned(stored: Sequence[StoredCommit]) -> str:
    """Return why a rule for signatures refuses the commits; nothing if GitHub signed them."""
    reason = next((each.unsigned for each in stored if each.unsigned is not None), None)
    if reason is None:
        return ""
    return (
        f"; GitHub did not sign the commit ({reason}): use the token of the job or of a GitHub App"
    )
