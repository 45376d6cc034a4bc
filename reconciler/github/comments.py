"""Sticky comments: one of each kind under a pull request, found again by a hidden marker, kept up to date."""

from typing import Any, Final

from reconciler.github.authors import is_ours, with_marker
from reconciler.github.client import GitHub
from reconciler.github.creation import create_once

PREVIEW: Final = "<!-- rollout-reconciler: preview -->"
"""The marker of what a plan would do."""
MAX_CHARACTERS: Final = 65_536


def put_comment(github: GitHub, repository: str, number: int, marker: str, body: str) -> str:
    """Write a comment, or bring the one that is there up to date; return its address.

    Raises:
        OutcomeUnknown: no answer came, again and again.
    """
    path = f"{repository}/issues/{number}/comments"
    text = with_marker(body[: MAX_CHARACTERS - len(marker) - 2], marker)

    def find() -> Any:
        return next((each for each in github.pages(path) if is_ours(each, marker)), None)

    there = find() or create_once(github, path, {"body": text}, find)
    if there["body"] != text:
        own = f"{repository}/issues/comments/{int(there['id'])}"
        there = github.change("PATCH", own, {"body": text})
    return str(there["html_url"])
