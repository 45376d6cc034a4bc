"""The address of a commit in a browser, from the remote of a checkout."""

import re
from pathlib import Path
from typing import Final

from reconciler.git.checkout import find_checkout

_FORMS: Final = (
    re.compile(r"https?://(?:[^@/]*@)?(?P<host>[\w.-]+(?::\d+)?)/(?P<path>[\w./~-]+?)(?:\.git)?/?"),
    re.compile(r"ssh://(?:[^@/]*@)?(?P<host>[\w.-]+)(?::\d+)?/(?P<path>[\w./~-]+?)(?:\.git)?/?"),
    re.compile(r"(?:[\w.-]+@)(?P<host>[\w.-]+):(?P<path>[\w./~-]+?)(?:\.git)?/?"),
)
"""The addresses of a hosting service; a path on this machine is none."""


def repository_url(remote: str) -> str | None:
    """Return the page of a repository by its address for git, without a password; None if it has none."""
    for form in _FORMS:
        found = form.fullmatch(remote)
        if found is not None:
            return f"https://{found['host']}/{found['path'].strip('/')}"
    return None


def read_repository_url(file: Path) -> str | None:
    """Return the page of the repository around a file.

    Raises:
        CannotWriteBack: it is not in a repository with a remote.
    """
    settings = dict(find_checkout(file).choose_remote(None).settings)
    return repository_url(settings["url"])
