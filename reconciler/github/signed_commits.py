"""Write-back's commits by GitHub's API, which signs them; rules that ask for signatures accept them.

Git's own push writes them if the API would change more than the content: an executable file, and a
commit that needs two parents.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.errors import NotFound, OutcomeUnknown, ReconcilerError, SetupInvalid
from reconciler.git.quarantine import PushOutcome, Quarantine
from reconciler.git.write_back import Change, Published, TipFile, publish_by_push
from reconciler.github.client import GitHub

_PLAIN_FILE: Final = "100644"
_COMMIT: Final = """\
mutation ($input: CreateCommitOnBranchInput!) {
  createCommitOnBranch(input: $input) { commit { oid } }
}
"""


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
        why_by_push = _why_by_push(tip, outdated)
        if why_by_push is not None:
            pushed = publish_by_push(place, tip, branch, changes, outdated)
            return replace(pushed, answer=f"{pushed.answer}; {why_by_push}")
        commits: list[str] = []
        try:
            if place.look([branch]).get(branch) != tip.commit:
                # A new branch, or one that a killed run left behind: at a commit that GitHub has.
                place.push(tip.commit, branch)
            for change in changes:
                parent = commits[-1] if commits else tip.commit
                commits.append(self._commit(branch, parent, tip.path, change))
        except (SetupInvalid, NotFound) as refused:
            return Published(tuple(commits), PushOutcome.DECLINED, str(refused))
        except ReconcilerError as failure:
            return Published(tuple(commits), PushOutcome.UNCERTAIN, str(failure))
        return Published(tuple(commits), PushOutcome.UNCERTAIN, "GitHub made the commits")

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


def _why_by_push(tip: TipFile, outdated: str | None) -> str | None:
    """Return why git's push must make the commits; None where GitHub's API makes them."""
    if tip.levels[-1].mode != _PLAIN_FILE:
        cannot = "commit an executable file; remove its executable bit"
    elif outdated is not None:
        cannot = "make a commit with two parents; delete the proposal's branch for a new proposal"
    else:
        return None
    return f"the push has no signature of GitHub, whose API cannot {cannot}"
