"""GitHub's mutation `createCommitOnBranch`, performed on a bare repository with its hooks."""

import base64
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MUTATION = "createCommitOnBranch(input: $input) { commit { oid } }"
SIGNER = "GitHub"


def create_commit(remote: Path, repository: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a request for a commit on a branch; make it only if the branch has the expected tip."""
    assert wanted.keys() == {"branch", "expectedHeadOid", "message", "fileChanges"}
    assert wanted["branch"]["repositoryNameWithOwner"] == repository
    branch = wanted["branch"]["branchName"]
    with tempfile.TemporaryDirectory() as temporary:
        clone = Path(temporary)
        _git(clone, "clone", "--quiet", "--branch", branch, str(remote), ".")
        if _git(clone, "rev-parse", "HEAD") != wanted["expectedHeadOid"]:
            message = f"Expected branch to point to {wanted['expectedHeadOid']} but it did not."
            return _errors("STALE_DATA", message)
        for addition in wanted["fileChanges"]["additions"]:
            (clone / addition["path"]).write_bytes(base64.b64decode(addition["contents"]))
        message = f"{wanted['message']['headline']}\n\n{wanted['message']['body']}\n"
        _git(clone, "commit", "--quiet", "--all", "-m", message)
        pushed = subprocess.run(
            ["git", "-C", clone, "push", "--quiet", "origin", branch],
            capture_output=True,
            text=True,
            check=False,
        )
        if pushed.returncode:
            return _errors("UNPROCESSABLE", "Repository rule violations found\n\nprotected")
        oid = _git(clone, "rev-parse", "HEAD")
    return {"data": {"createCommitOnBranch": {"commit": {"oid": oid}}}}


def _errors(kind: str, message: str) -> dict[str, Any]:
    path = ["createCommitOnBranch"]
    return {
        "data": {"createCommitOnBranch": None},
        "errors": [{"type": kind, "path": path, "message": message}],
    }


def _git(folder: Path, *arguments: str) -> str:
    identity = {
        f"GIT_{who}_{what}": name
        for who, name in (("AUTHOR", "github-actions[bot]"), ("COMMITTER", SIGNER))
        for what in ("NAME", "EMAIL")
    }
    return subprocess.run(
        ["git", "-C", folder, *arguments],
        env={**os.environ, **identity},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
