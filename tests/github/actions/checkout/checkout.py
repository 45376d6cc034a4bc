"""Check out a commit as actions/checkout does, for the inputs that the workflows use."""

import json
import os
import subprocess
from pathlib import Path


def git(*arguments: str) -> None:
    subprocess.run(("git", *arguments), check=True)


def main() -> None:
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text())
    remote, depth = os.environ["TEST_REMOTE"], os.environ["DEPTH"]
    shallow = () if depth == "0" else (f"--depth={depth}",)
    git("init", "--quiet", "--initial-branch=main")
    # Without kept credentials no push is possible: the remote is read-only.
    git("remote", "add", "origin", remote)
    if os.environ["PERSISTS"] != "true":
        git("remote", "set-url", "--push", "origin", "file:///nowhere/no-credentials.git")
    git("fetch", "--quiet", "--no-tags", *shallow, "origin", "+refs/heads/*:refs/remotes/origin/*")
    if ref := os.environ["REF"]:
        git("fetch", "--quiet", "--no-tags", *shallow, "origin", ref)
        git("checkout", "--quiet", "--detach", ref)
    elif os.environ["GITHUB_EVENT_NAME"] == "pull_request":
        merge = f"refs/pull/{event['pull_request']['number']}/merge"
        git(
            "fetch", "--quiet", "--no-tags", *shallow, "origin", f"+{merge}:refs/remotes/pull/merge"
        )
        git("checkout", "--quiet", "--detach", "refs/remotes/pull/merge")
    else:
        git("checkout", "--quiet", "-B", "main", "--track", "refs/remotes/origin/main")
        if event.get("after"):
            git("reset", "--quiet", "--hard", event["after"])


main()
