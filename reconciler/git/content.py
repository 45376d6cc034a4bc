"""A file as a commit has it, read without checking it out."""

import re
from pathlib import Path
from typing import Final

from reconciler.errors import SetupInvalid
from reconciler.git.command import GitFailed, git, git_bytes

_COMMIT: Final = re.compile("HEAD|[0-9a-f]{40}|[0-9a-f]{64}")
_REGULAR: Final = frozenset({"100644", "100755"})


def content_at(file: Path, commit: str) -> bytes | None:
    """Return what a file held at a commit, given by its full name or as HEAD; None where it was not there.

    Raises:
        SetupInvalid: that is no commit, the clone lacks it, or the file was a symlink.
    """
    if not _COMMIT.fullmatch(commit):
        raise SetupInvalid(f"{commit!r} is no commit; give its full name")
    folder = file.absolute().parent
    try:
        listed = git(folder, "ls-tree", commit, "--", f":(literal){file.name}")
    except (GitFailed, FileNotFoundError) as error:
        raise SetupInvalid(
            f"this clone has no commit {commit[:7]}; fetch all of it (on GitHub: fetch-depth: 0)"
        ) from error
    if not listed.strip():
        return None
    mode, _, blob = listed.partition("\t")[0].split()
    if mode not in _REGULAR:
        raise SetupInvalid(f"{file.name} at {commit[:7]} is no regular file")
    return git_bytes(folder, "cat-file", "blob", blob)
