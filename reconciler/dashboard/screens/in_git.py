"""What the pages show from git: the override's block in the file, and where a commit can be seen."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from reconciler.errors import ReconcilerError
from reconciler.git.limit_commits import LimitCommits
from reconciler.operations.block_in_git import BlockInGit
from reconciler.planning.history import Action
from reconciler.uuid_text import is_uuid

if TYPE_CHECKING:
    from reconciler.database.history import HistoryEntry

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
    find_limit_commits: Callable[[Collection[UUID]], Mapping[UUID, LimitCommits]] | None = None
    """Returns the commits that wrote and removed overrides; see `git.limit_commits`."""

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

    def limit_commits(self, overrides: Collection[UUID]) -> Mapping[UUID, LimitCommits]:
        """Return the commits of each override; none where git cannot be read."""
        found: Mapping[UUID, LimitCommits] = {}
        if overrides and self.find_limit_commits is not None:
            with suppress(ReconcilerError):
                found = self.find_limit_commits(set(overrides))
        return {each: found.get(each, LimitCommits()) for each in overrides}

    def commits(self, entries: "Sequence[HistoryEntry]") -> Sequence[Any]:
        """Return the commit of each entry: the one that was applied, or that write-back made for it.

        None for an entry without one, and where git cannot be read.
        """
        acts = {
            each: UUID(str(found)) for each, found in enumerate(map(_override, entries)) if found
        }
        written = self.limit_commits(acts.values())
        return [
            _of_act(entry, written[acts[place]]) if place in acts else entry.details.get("commit")
            for place, entry in enumerate(entries)
        ]


def _override(entry: "HistoryEntry") -> Any:
    """Return the id of the override that an act by command made or lifted; None in other entries."""
    found = entry.details.get("override")
    return found if isinstance(found, str) and is_uuid(found) else None


def _of_act(entry: "HistoryEntry", commits: LimitCommits) -> str | None:
    """Return the commit of an act: the one that writes the limit, or for a resume the one that removes it."""
    made = commits.removed if entry.action == Action.RESUMED else commits.written
    return made or entry.details.get("commit")
