"""Events for workflows in GitHub's form, with the keys that the workflows use."""

from typing import Any

from tests.github.server import REPOSITORY


def pull_request(
    number: int, *, head: str, base: str, repository: str = REPOSITORY, **texts: str
) -> dict[str, Any]:
    """A pull request was opened or pushed to; `head` and `base` are commits."""
    return {
        "action": "synchronize",
        "number": number,
        "pull_request": {
            "number": number,
            "title": texts.get("title", "Change the rollout"),
            "head": {
                "ref": texts.get("branch", "change"),
                "sha": head,
                "repo": {"full_name": repository},
            },
            "base": {"ref": "main", "sha": base, "repo": {"full_name": REPOSITORY}},
        },
    }


def push(after: str) -> dict[str, Any]:
    """A commit was pushed to main."""
    return {"ref": "refs/heads/main", "after": after}


def schedule(cron: str) -> dict[str, Any]:
    """A scheduled time was reached."""
    return {"schedule": cron}


def workflow_run(
    run: int, *, head: str, branch: str, repository: str, event: str = "pull_request"
) -> dict[str, Any]:
    """A run for a pull request has ended."""
    return {
        "action": "completed",
        "workflow_run": {
            "id": run,
            "event": event,
            "head_branch": branch,
            "head_sha": head,
            "head_repository": {
                "full_name": repository,
                "owner": {"login": repository.partition("/")[0]},
            },
            "pull_requests": [],
        },
    }
