"""The changes of files on the way from one commit to another, along the first parents: what a branch got.

A merge is one change of its branch, whatever its other parents contain.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import SetupInvalid
from reconciler.git.ancestry import refuse_shallow
from reconciler.git.command import GitFailed
from reconciler.git.file_history import names_of
from reconciler.git.head import file_at
from reconciler.git.repository import Repository, literally


@dataclass(frozen=True, slots=True)
class RangeCommit:
    """A commit between two others."""

    commit: str
    parents: tuple[str, ...]
    time: int
    """The committer's time, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class FileRange:
    """The history of a file from one commit to a descendant."""

    repository: Repository
    base: str
    head: str
    names: tuple[str, ...]
    """The names of the file, the newest first."""

    @classmethod
    def around(cls, file: Path, base: str, head: str) -> "FileRange | None":
        """Return the range of a file; None if `head` does not descend from `base` in this clone.

        Raises:
            SetupInvalid: the clone is shallow.
        """
        repository = Repository.around(file)
        refuse_shallow(repository, "who approved the changes since the last apply")
        if not (repository.has_commit(base) and repository.is_ancestor(base, head)):
            return None
        names = names_of(repository, head, repository.path_of(file))
        return cls(repository, base, head, names)

    def content_at(self, commit: str, *names: str) -> bytes | None:
        """Return the content of the first of these files that a commit has; None without one.

        Raises:
            SetupInvalid: it is not a regular file, or it is too large.
        """
        found = (file_at(self.repository, commit, each) for each in names)
        return next((each for each in found if each is not None), None)

    def has(self, commit: str) -> bool:
        """Return whether the clone has a commit."""
        return self.repository.has_commit(commit)

    def first_parents(self) -> tuple[RangeCommit, ...]:
        """Return the commits after the base along the first parents, the oldest first."""
        return self._listed("--first-parent")

    def all_commits(self) -> tuple[RangeCommit, ...]:
        """Return all commits after the base, each after its parents."""
        return self._listed("--topo-order")

    def changing(self, paths: Iterable[str]) -> frozenset[str]:
        """Return the commits along the first parents that change one of these files."""
        listed = self.repository.git.log(
            "--first-parent",
            "--full-history",
            "--format=%H",
            f"{self.base}..{self.head}",
            "--",
            *map(literally, paths),
        )
        return frozenset(str(listed).split())

    def merge_base(self, commit: str, other: str) -> str | None:
        """Return the newest common commit of two commits that the clone has; None without one."""
        try:
            return str(self.repository.git.merge_base(commit, other)).strip()
        except GitFailed as failure:
            if failure.exit_code != 1:
                raise SetupInvalid(f"git cannot compare two commits: {failure}") from None
            return None

    def time_of(self, commit: str) -> int:
        """Return the committer's time of a commit."""
        return int(self.repository.git.log("-1", "--format=%ct", commit))

    def _listed(self, order: str) -> tuple[RangeCommit, ...]:
        listed = self.repository.git.log(
            order, "--reverse", "--format=%H %ct %P", f"{self.base}..{self.head}"
        )
        lines = (line.split() for line in str(listed).splitlines())
        return tuple(RangeCommit(line[0], tuple(line[2:]), int(line[1])) for line in lines)
