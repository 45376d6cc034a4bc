"""Where a desired state comes from: which file, at which commit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """The file that a plan was made from; recorded with every apply."""

    file: str
    """The path as it was given."""
    digest: str
    """`sha256:` and the digest of the file's bytes."""
    commit: str | None
    """The commit that HEAD names; None in a folder without git, or without a commit yet."""
    uncommitted: bool
    """Whether the file differs from that commit's."""
    subject: str | None
    """The commit's first line, which tells why."""
    found_at: str | None = None
    """Where the file lies, with the history of its commit, where that is not at `file`."""

    @property
    def place(self) -> str:
        """The path at which the file lies."""
        return self.found_at or self.file

    @property
    def reason(self) -> str:
        """Why the change was made, as far as git can tell."""
        if self.uncommitted:
            return f"applied {self.file} with uncommitted changes"
        if self.commit is None:
            return f"applied {self.file}"
        return self.subject or f"applied {self.file}"
