"""The addresses of a commit and of a file's editor in a browser, from the remote of a checkout."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from reconciler.git.checkout import find_checkout

_FORMS: Final = (
    re.compile(r"https?://(?:[^@/]*@)?(?P<host>[\w.-]+(?::\d+)?)/(?P<path>[\w./~-]+?)(?:\.git)?/?"),
    re.compile(r"ssh://(?:[^@/]*@)?(?P<host>[\w.-]+)(?::\d+)?/(?P<path>[\w./~-]+?)(?:\.git)?/?"),
    re.compile(r"(?:[\w.-]+@)(?P<host>[\w.-]+):(?P<path>[\w./~-]+?)(?:\.git)?/?"),
)
"""The addresses of a hosting service; a path on this machine is none."""
_EDITORS: Final = (
    (("github",), "edit"),
    (("gitlab",), "-/edit"),
    (("gitea", "forgejo", "codeberg"), "_edit"),
)
"""A part of the host's name, and the path of the editor below the repository's page."""


@dataclass(frozen=True, slots=True)
class WebAddresses:
    """Pages of the repository around a file."""

    repository: str | None
    editor: str | None
    """The editor of the file on its branch."""


def repository_url(remote: str) -> str | None:
    """Return the page of a repository by its address for git, without a password; None if it has none."""
    for form in _FORMS:
        found = form.fullmatch(remote)
        if found is not None:
            return f"https://{found['host']}/{found['path'].strip('/')}"
    return None


def editor_url(repository: str, branch: str, path: str) -> str | None:
    """Return the page that edits a file of a branch; None for a host whose pages are not known."""
    host = urlsplit(repository).hostname or ""
    for names, editor in _EDITORS:
        if any(name in host for name in names):
            return f"{repository}/{editor}/{quote(branch)}/{quote(path)}"
    return None


def read_web_addresses(file: Path) -> WebAddresses:
    """Return the pages of the repository around a file.

    Raises:
        CannotWriteBack: it is not in a repository with a remote.
    """
    checkout = find_checkout(file)
    repository = repository_url(dict(checkout.choose_remote(None).settings)["url"])
    branch = checkout.branch if checkout.upstream is None else checkout.upstream.branch
    if repository is None or branch is None:
        return WebAddresses(repository, None)
    return WebAddresses(repository, editor_url(repository, branch, str(checkout.path)))
