"""What the pages show from git: the override's block in the file, and where a commit can be seen."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import ReconcilerError
from reconciler.operations.block_in_git import BlockInGit

_COMMIT: Final = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Block:
    """A block, or why it cannot be read."""

    found: BlockInGit | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class InGit:
    """The repository around the rollout file; the default is none."""

    repository_url: str | None = None
    """Its page in a browser."""
    editor_url: str | None = None
    """The page that edits the file."""
    read_block: Callable[[str], BlockInGit | None] | None = None

    def commit_url(self, commit: Any) -> str | None:
        """Return the page of a commit; None if the text is not its full id."""
        if self.repository_url is None or _COMMIT.fullmatch(str(commit)) is None:
            return None
        return f"{self.repository_url}/commit/{commit}"

    def block(self, feature: str) -> Block | None:
        """Return a feature's block; None outside a repository."""
        if self.read_block is None:
            return None
        try:
            found = self.read_block(feature)
        except ReconcilerError as error:
            return Block(None, str(error))
        return None if found is None else Block(found)
