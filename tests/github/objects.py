"""GitHub's operations on blobs, trees, commits and refs, performed on a bare repository with its hooks."""

import base64
import binascii
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.github.commits import SIGNER

MAX_BLOB_BYTES = 100 * 1024 * 1024
_NAME = re.compile("[0-9a-f]{40}")


def act(
    remote: Path, account: Mapping[str, Any], method: str, path: str, body: Any
) -> tuple[int, Any]:
    """Answer a request under `/git/`: the status and the value."""
    if not _git(remote, "for-each-ref", "--count=1"):
        return 409, {"message": "Git Repository is empty."}
    match method, path:
        case "POST", "blobs":
            return _add_blob(remote, body)
        case "POST", "trees":
            return _add_tree(remote, body)
        case "POST", "commits":
            return _add_commit(remote, account, body)
        case "PATCH", _:
            return _move(remote, unquote(path.removeprefix("refs/")), body)
    raise AssertionError(f"{method} /git/{path} is not served")


def _add_blob(remote: Path, body: Any) -> tuple[int, Any]:
    content = body["content"].encode()
    if body.get("encoding", "utf-8") == "base64":
        try:
            content = base64.b64decode(content, validate=True)
        except binascii.Error:
            return _invalid("content is not valid Base64")
    if len(content) > MAX_BLOB_BYTES:
        return _invalid("Sorry, your input was too large to process.")
    return 201, {"sha": _git(remote, "hash-object", "-w", "--stdin", content=content)}


def _add_tree(remote: Path, body: Any) -> tuple[int, Any]:
    if "base_tree" in body and not _has(remote, body["base_tree"], "tree", "commit"):
        return 404, {"message": "Not Found"}
    with tempfile.TemporaryDirectory() as temporary:
        index = {"GIT_INDEX_FILE": f"{temporary}/index"}
        if "base_tree" in body:
            _git(remote, "read-tree", body["base_tree"], variables=index)
        for entry in body["tree"]:
            assert "content" not in entry, "the test's server takes names of blobs"
            if not _has(remote, entry["sha"], entry["type"]):
                return _invalid(f"tree.sha {entry['sha']} is not a valid blob")
            described = f"{entry['mode']},{entry['sha']},{entry['path']}"
            _git(remote, "update-index", "--add", "--cacheinfo", described, variables=index)
        tree = _git(remote, "write-tree", variables=index)
    return 201, {"sha": tree, "tree": [], "truncated": False}


def _add_commit(remote: Path, account: Mapping[str, Any], body: Any) -> tuple[int, Any]:
    if not _has(remote, body["tree"], "tree"):
        return _invalid("Tree SHA does not exist")
    parents: Sequence[str] = body.get("parents", ())
    if not all(_has(remote, each, "commit") for each in parents):
        return _invalid("Parent SHA does not exist or is not a commit object")
    # GitHub signs for bots only, and only what it describes itself.
    is_signed = account["type"] == "Bot" and not body.keys() & {"author", "committer", "signature"}
    names = {"AUTHOR": account["login"], "COMMITTER": SIGNER if is_signed else account["login"]}
    commit = _git(
        remote,
        "commit-tree",
        *(argument for each in parents for argument in ("-p", each)),
        body["tree"],
        content=body["message"].encode(),
        variables={
            f"GIT_{who}_{what}": name for who, name in names.items() for what in ("NAME", "EMAIL")
        },
    )
    reason = "valid" if is_signed else "unsigned"
    return 201, {
        "sha": commit,
        "parents": [],
        "verification": {"verified": is_signed, "reason": reason},
    }


def _move(remote: Path, ref: str, body: Any) -> tuple[int, Any]:
    name = f"refs/{ref}"
    if not _git(remote, "for-each-ref", name):
        return _invalid("Reference does not exist")
    if not _has(remote, body["sha"], "commit"):
        return _invalid("Object does not exist")
    before = _git(remote, "rev-parse", name)
    assert body["force"] is False, "nothing is forced"
    if _git(remote, "merge-base", before, body["sha"]) != before:
        return _invalid("Update is not a fast forward")
    pushed = subprocess.run(
        ["git", "--git-dir", remote, "push", "--quiet", str(remote), f"{body['sha']}:{name}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if pushed.returncode:
        said = [
            line.removeprefix("remote:").strip()
            for line in pushed.stderr.splitlines()
            if line.startswith("remote:")
        ]
        return _invalid("Repository rule violations found\n\n" + " ".join(said))
    return 200, {"ref": name, "object": {"type": "commit", "sha": body["sha"]}}


def _invalid(message: str) -> tuple[int, Any]:
    return 422, {"message": message}


def _has(remote: Path, name: str, *kinds: str) -> bool:
    if not _NAME.fullmatch(name):
        return False
    shown = subprocess.run(
        ["git", "--git-dir", remote, "cat-file", "-t", name],
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout.strip() in kinds


def _git(
    remote: Path,
    *arguments: str,
    content: bytes = b"",
    variables: Mapping[str, str] | None = None,
) -> str:
    return (
        subprocess.run(
            ["git", "--git-dir", remote, *arguments],
            env={**os.environ, **(variables or {})},
            input=content,
            check=True,
            capture_output=True,
        )
        .stdout.decode()
        .strip()
    )
