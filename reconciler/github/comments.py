"""Sticky comments: one of each kind under a pull request, found again by a hidden marker, kept up to date."""

from typing import Final

from reconciler.errors import OutcomeUnknown
from reconciler.github.authors import is_ours, with_marker
from reconciler.github.client import GitHub

PREVIEW: Final = "<!-- rollout-reconciler: preview -->"
"""The marker of what a plan would do."""
MAX_CHARACTERS: Final = 65_536
_ATTEMPTS: Final = 3


def put_comment(github: GitHub, repository: str, number: int, marker: str, body: str) -> str:
    """Write a comment, or bring the one that is there up to date; return its address.

    Where GitHub's answer is lost, looks whether the comment is there before writing it again.

    Raises:
        OutcomeUnknown: no answer came, again and again.
    """
    text = with_marker(body[: MAX_CHARACTERS - len(marker) - 2], marker)
    lost: OutcomeUnknown | None = None
    for _ in range(_ATTEMPTS):
        comments = github.pages(f"{repository}/issues/{number}/comments")
        there = next((each for each in comments if is_ours(each, marker)), None)
        if there is not None:
            if there["body"] != text:
                path = f"{repository}/issues/comments/{int(there['id'])}"
                there = github.change("PATCH", path, {"body": text})
            return str(there["html_url"])
        try:
            written = github.change(
                "POST", f"{repository}/issues/{number}/comments", {"body": text}
            )
        except OutcomeUnknown as unknown:
            lost = unknown
        else:
            return str(written["html_url"])
    raise lost or OutcomeUnknown
