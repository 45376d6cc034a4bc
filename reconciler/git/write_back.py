"""The git part of write-back: the file at a branch's tip, and commits that change only this file.

Trees are written one folder at a time, without an index and without a checkout.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath
from typing import Final, Protocol
from uuid import UUID

from reconciler.errors import FileInvalid, SetupInvalid
from reconciler.git.checkout import CannotWriteBack
from reconciler.git.command import SIGNING_VARIABLES, GitFailed
from reconciler.git.file_history import names_of, newest_name
from reconciler.git.head import read_blob
from reconciler.git.override_trace import trace_at
from reconciler.git.quarantine import PushOutcome, Quarantine
from reconciler.git.repository import literally
from reconciler.planning.overrides import Trace
from reconciler.planning.write_back import Add, Remove, Replace
from reconciler.rollout_file.characters import cut, one_line
from reconciler.rollout_file.editing import with_override, without_override
from reconciler.rollout_file.override import MAX_AUTHOR_LENGTH, MAX_REASON_LENGTH, Override
from reconciler.rollout_file.reader import Document, parse_rollout

AUTHOR: Final = "rollout-reconciler"
_EMAIL: Final = f"{AUTHOR}@localhost"
_IDENTITY: Final = {
    "GIT_AUTHOR_NAME": AUTHOR,
    "GIT_AUTHOR_EMAIL": _EMAIL,
    "GIT_COMMITTER_NAME": AUTHOR,
    "GIT_COMMITTER_EMAIL": _EMAIL,
}
"""As variables, which have priority over the authors of any configuration."""
OVERRIDE_TRAILER: Final = "Override-Id"
REMOVAL: Final = "It was made because: "
"""Begins a line in the message of a commit that removes an override, and of no other one."""
FEATURE_TRAILER: Final = "Rollout-Feature"

_REGULAR_FILE: Final = re.compile("100(644|755)")
_FOLDER: Final = re.compile("040000")
_SYMLINK: Final = "120000"
_REFERENCE: Final = re.compile(r"(?<=[#@])(?=\w)|(?<=GH-)(?=\d)|(?<=:)(?=//)", re.IGNORECASE)
_BRACKETS: Final = str.maketrans("[]", "()")

Edit = Add | Replace | Remove


@dataclass(frozen=True, slots=True)
class Level:
    """A folder on the file's path: the next entry of the path, and all other entries."""

    name: str
    mode: str
    kind: str
    others: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TipFile:
    """The rollout file at the tip of a branch."""

    commit: str
    path: str
    """The file's path there, also if it was moved after the checkout's commit."""
    document: Document
    levels: tuple[Level, ...]
    """The folders on the file's path, from the root."""


@dataclass(frozen=True, slots=True)
class Change:
    """The file's new content, and the message of its commit."""

    content: bytes
    message: str


@dataclass(frozen=True, slots=True)
class Published:
    """The new commits, and their outcome."""

    commits: tuple[str, ...]
    """In the order of their changes; fewer if one was refused."""
    outcome: PushOutcome
    answer: str
    """The answer of git or the remote, in a line."""


def read_tip(place: Quarantine, branch: str) -> TipFile:
    """Fetch a branch and read the file at its tip.

    Raises:
        CannotWriteBack: the remote does not answer or has no such branch, or the file there cannot be
            edited.
    """
    commit = place.fetch(branch)
    path = newest_name(place.repository, commit, place.checkout.path.as_posix())
    document, levels = _read_file(place, commit, path, f"{path} on {place.remote.name}/{branch}")
    return TipFile(commit, path, document, levels)


def trace_blocks(
    place: Quarantine, tip: TipFile, overrides: Iterable[UUID]
) -> Mapping[UUID, Trace]:
    """Return the trace of each override's id in the branch's history of the file."""
    blocks = (feature.override for feature in tip.document.rollout.features.values())
    there = {block.id for block in blocks if block is not None}
    names = names_of(place.repository, tip.commit, tip.path)
    return {
        each: trace_at(place.repository, tip.commit, names, each, is_there=each in there)
        for each in overrides
    }


def commit_file(place: Quarantine, parents: Sequence[str], tip: TipFile, change: Change) -> str:
    """Write a commit with the tip's tree and the changed file; return its name.

    It is signed where git is configured to sign commits; the committer is then the person who
    signs.
    """
    blob = place.git.hash_object("-w", "--stdin", istream=BytesIO(change.content))
    tree = _write_trees(place, tip.levels, blob)
    return str(
        place.git(c="i18n.commitEncoding=UTF-8").commit_tree(
            "--gpg-sign" if _signs(place) else "--no-gpg-sign",
            *(argument for parent in parents for argument in ("-p", parent)),
            tree,
            istream=BytesIO(change.message.encode()),
            env=_identity(place),
        )
    )


def edit_content(content: bytes, feature: str, edit: Edit) -> bytes:
    """Return the file's content after an edit, after a check that it is valid.

    Raises:
        EditRefused: the edit would change more of the file.
        FileInvalid: the edited file is not valid.
    """
    match edit:
        case Add(override) | Replace(override):
            edited = with_override(content, feature, _as_written(override))
        case Remove():
            edited = without_override(content, feature)
    parse_rollout(edited)
    return edited


def proposal_branch(edit: Edit) -> str:
    """Return the branch that proposes an edit if the rollout's own branch accepts no pushes."""
    match edit:
        case Add(override) | Replace(override):
            return block_branch(override.id)
        case Remove(override):
            return f"rollout/resume-{override.id}"


def block_branch(override: UUID) -> str:
    """Return the branch that proposes an override's block."""
    return f"rollout/override-{override}"


def describe_edit(feature: str, edit: Edit) -> tuple[str, str]:
    """Return two texts about an edit: the change and its reason, in a line; and the reader's next step."""
    override = edit.override
    match edit:
        case Add() | Replace():
            title = f"{_limit(override)} {feature}: {_harmless(override.reason)}"
            body = (
                f"By {_harmless(override.by)}, and in force already; remove the override's block "
                "to resume."
            )
        case Remove():
            title = f"Resume {feature}: remove its override"
            body = f"{REMOVAL}{_harmless(override.reason)}"
    return title, body


def commit_message(feature: str, edit: Edit) -> str:
    """Return a commit's message: the reason in a line, and trailers for the override and its feature."""
    title, body = describe_edit(feature, edit)
    trailers = f"{OVERRIDE_TRAILER}: {edit.override.id}\n{FEATURE_TRAILER}: {feature}"
    return f"{title}\n\n{body}\n\n{trailers}\n"


def _limit(override: Override) -> str:
    if override.percentage is None:
        return "Stop"
    return f"Hold to {override.percentage.normalize():f} percent"


def _as_written(override: Override) -> Override:
    """Return an override with texts that a file may have: SQL can write any text."""
    return override.model_copy(
        update={
            "reason": one_line(override.reason, MAX_REASON_LENGTH),
            "by": one_line(override.by, MAX_AUTHOR_LENGTH),
        }
    )


def _harmless(text: str) -> str:
    """Return text that starts no line, closes no issue, mentions no person and skips no workflow."""
    return _REFERENCE.sub(" ", cut(text).translate(_BRACKETS))


class Publish(Protocol):
    """Makes commits that change the file, on a branch of the remote."""

    def __call__(
        self,
        place: Quarantine,
        tip: TipFile,
        branch: str,
        changes: Sequence[Change],
        outdated: str | None = None,
    ) -> Published:
        """Write a commit for each change, one after the other, on the tip; return their outcome.

        The branch is the tip's own, a new one, or one that proposed the change before: then
        `outdated` is its commit, and stays a part of its history. Nothing is forced.
        """


def publish_by_push(
    place: Quarantine,
    tip: TipFile,
    branch: str,
    changes: Sequence[Change],
    outdated: str | None = None,
) -> Published:
    """Write the commits locally and push them: one form of `Publish`."""
    commits: list[str] = []
    for change in changes:
        parents = [commits[-1] if commits else tip.commit]
        if outdated is not None and not commits:
            parents = [outdated, tip.commit]
        commits.append(commit_file(place, parents, tip, change))
    pushed = place.push(commits[-1], branch)
    return Published(tuple(commits), pushed.outcome, pushed.answer)


def is_own(place: Quarantine, commit: str) -> bool:
    """Return whether write-back made a commit, and not people."""
    return bool(
        place.git.log("-1", f"--format=%(trailers:key={OVERRIDE_TRAILER},valueonly)", commit)
    )


def is_outdated(place: Quarantine, proposal: str, tip: TipFile) -> bool:
    """Return whether the file changed on the branch after a proposal of it."""
    left_at = place.git.merge_base(proposal, tip.commit)
    changed = place.git.diff_tree(
        "-r", "--name-only", left_at, tip.commit, "--", literally(tip.path)
    )
    return bool(changed)


def _signs(place: Quarantine) -> bool:
    return _setting(place, "--type=bool", "commit.gpgSign") == "true"


def _identity(place: Quarantine) -> Mapping[str, str]:
    """Return the author and the committer of a commit: a signature is by a key of the committer."""
    if not _signs(place):
        return _IDENTITY
    passed_on = {each: os.environ[each] for each in SIGNING_VARIABLES if each in os.environ}
    committer = {
        f"GIT_COMMITTER_{each.upper()}": found
        for each in ("name", "email")
        if (found := _setting(place, f"committer.{each}") or _setting(place, f"user.{each}"))
    }
    return {**_IDENTITY, **committer, **passed_on}


def _setting(place: Quarantine, *arguments: str) -> str:
    try:
        return str(place.git.config(*arguments))
    except GitFailed:
        return ""


def _read_file(
    place: Quarantine, commit: str, path: str, shown: str
) -> tuple[Document, tuple[Level, ...]]:
    levels, name = [], f"{commit}^{{tree}}"
    parts = PurePosixPath(path).parts
    for depth, part in enumerate(parts, start=1):
        level, name = _read_level(place, name, part)
        if level.mode == _SYMLINK:
            raise CannotWriteBack(f"{shown} is a symlink, or below one, which is not followed")
        if not (_REGULAR_FILE if depth == len(parts) else _FOLDER).fullmatch(level.mode):
            raise CannotWriteBack(f"there is no file {shown}")
        levels.append(level)
    try:
        document = parse_rollout(read_blob(place.repository, name, shown), path=shown)
    except SetupInvalid as problem:
        raise CannotWriteBack(str(problem)) from None
    except FileInvalid as invalid:
        first = invalid.findings[0]
        raise CannotWriteBack(f"{shown} is invalid at line {first.line}: {first.message}") from None
    return document, tuple(levels)


def _read_level(place: Quarantine, tree: str, part: str) -> tuple[Level, str]:
    """Return one folder on the file's path, and the name of the path's next part."""
    found, others = "  ", []
    listed = place.git.ls_tree("-z", "--full-tree", tree, stdout_as_string=False)
    for entry in listed.split(b"\0")[:-1]:
        described, _, name = entry.partition(b"\t")
        if name == os.fsencode(part):
            found = described.decode()
        else:
            others.append(entry)
    mode, kind, identifier = found.split(" ")
    return Level(part, mode, kind, tuple(others)), identifier


def _write_trees(place: Quarantine, levels: Sequence[Level], blob: str) -> str:
    """Write the trees of a path with another blob at its end; return the root's name.

    Other entries are not read: in a partial clone they may be missing.
    """
    written = blob
    for level in reversed(levels):
        changed = f"{level.mode} {level.kind} {written}\t".encode() + os.fsencode(level.name)
        entries = b"\0".join([*level.others, changed]) + b"\0"
        written = place.git.mktree("-z", "--missing", istream=BytesIO(entries))
    return written
