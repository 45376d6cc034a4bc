"""Commits as objects of git, made by GitHub's API: with any parents, and with the file's mode.

GitHub signs such a commit if the token is that of a job or of a GitHub App, and the request names no
author, no committer and no signature. No branch has a commit before the last request, which moves one.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from reconciler.git.write_back import Change
from reconciler.github.client import GitHub


@dataclass(frozen=True, slots=True)
class StoredCommit:
    """A commit that GitHub has, on no branch yet."""

    id: str
    unsigned: str | None
    """The reason why it has no valid signature, in GitHub's word."""


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """The objects of a repository on GitHub."""

    github: GitHub
    repository: str
    """As a path: `/repos/owner/name`."""

    def add_commit(
        self, base: str, path: str, mode: str, change: Change, parents: Sequence[str]
    ) -> StoredCommit:
        """Store a commit with the tree `base`, in which the file at `path` has the changed content.

        Raises:
            NotFound: the repository has no such tree or parent, or it is hidden from this token.
            SetupInvalid: GitHub refuses an object, or the repository is empty.
            Unavailable: GitHub does not answer.
        """
        content = base64.b64encode(change.content).decode()
        blob = self._add("blobs", content=content, encoding="base64")["sha"]
        entry = {"path": path, "mode": mode, "type": "blob", "sha": blob}
        tree = self._add("trees", base_tree=base, tree=[entry])["sha"]
        made = self._add("commits", message=change.message, tree=tree, parents=list(parents))
        verification = made["verification"]
        unsigned = None if verification["verified"] else str(verification["reason"])
        return StoredCommit(str(made["sha"]), unsigned)

    def move_branch(self, branch: str, commit: str) -> None:
        """Move a branch forward to a commit, never by force.

        Raises:
            SetupInvalid: the branch does not exist, has commits that this one lacks, or a rule refuses it.
            Unavailable: GitHub does not answer; it may have moved the branch.
        """
        ref = f"{self.repository}/git/refs/heads/{quote(branch)}"
        self.github.change("PATCH", ref, {"sha": commit, "force": False})

    def _add(self, kind: str, **content: Any) -> Any:
        return self.github.add_object(f"{self.repository}/git/{kind}", content)
