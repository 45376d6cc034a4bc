"""Sticky comments: one of each kind on a pull request, found by a hidden marker and updated."""

from typing import Any

from reconciler.github.client import GitHub
from reconciler.github.creation import create_once
from reconciler.github.markers import is_ours, with_marker


def put_comment(github: GitHub, repository: str, number: int, marker: str, body: str) -> str:
    """Write a comment, or update the existing one; return its address.

    Raises:
        OutcomeUnknown: GitHub did not answer, several times.
    """
    path = f"{repository}/issues/{number}/comments"
    text = with_marker(body, marker)

    def find() -> Any:
        return next((each for each in github.pages(path) if is_ours(each, marker)), None)

    there = find() or create_once(github, path, {"body": text}, find)
    if there["body"] != text:
        own = f"{repository}/issues/comments/{int(there['id'])}"
        there = github.change("PATCH", own, {"body": text})
    return str(there["html_url"])
