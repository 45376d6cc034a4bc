"""Commits on GitHub: the commit at which a pull request left its base."""

import re
from typing import Final

from reconciler.errors import Unavailable
from reconciler.github.client import GitHub

_COMMIT: Final = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


def merge_base_on_github(github: GitHub, repository: str, base: str, head: str) -> str:
    """Return the merge base of two commits, of which a fork may have one.

    Raises:
        NotFound: GitHub does not have both commits, or they have no history in common.
        Unavailable: the answer has no commit.
    """
    if not (_COMMIT.fullmatch(base) and _COMMIT.fullmatch(head)):
        raise Unavailable("GitHub's answer has a commit without a full name; try again later")
    # The files of the difference are on the first page only, and are not needed.
    compared = github.get(f"{repository}/compare/{base}...{head}", per_page=1, page=2)
    found = str(compared["merge_base_commit"]["sha"])
    if not _COMMIT.fullmatch(found):
        raise Unavailable("GitHub's answer has no merge base; try again later")
    return found
