"""Reading a rollout file: from its bytes to the desired state, or to everything that is wrong with it.

For any bytes the result is a `Document` or one `FileInvalid` with all findings in line order. Only a syntax
error or a limit, after which the reader cannot go on, hides later findings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from reconciler.errors import MAX_FINDINGS, FileInvalid, Finding
from reconciler.rollout_file.characters import (
    forbidden_characters,
    position,
    without_forbidden_characters,
)
from reconciler.rollout_file.file_content import check_size, decode, read_content
from reconciler.rollout_file.model import Rollout
from reconciler.rollout_file.nodes import KeyPath, Node, Place, Places, node_value
from reconciler.rollout_file.rules import rule_findings
from reconciler.rollout_file.yaml_parser import compose

MAX_FORBIDDEN_CHARACTERS = 100
"""The first of each line is reported, up to this number in all; a file with more is not a text."""


@dataclass(frozen=True, slots=True)
class Document:
    """A rollout file that was read: its desired state, and the place of each part of it."""

    path: str
    """The path as it was given, for messages."""
    content: bytes = field(repr=False)
    rollout: Rollout = field(repr=False)
    root: Node = field(repr=False, compare=False)
    """The written values, without defaults."""

    @property
    def places(self) -> Mapping[KeyPath, Place]:
        """The line and column, from 1, of each key path such as `("features", "x", "percentage")`.

        The place of a mapping's value is its key's; the place of a list's entry is its own.
        """
        return Places(self.root)

    @property
    def digest(self) -> str:
        """`sha256:` and the content's hash in hexadecimal digits."""
        from hashlib import sha256

        return f"sha256:{sha256(self.content).hexdigest()}"


def read_rollout_file(path: Path) -> Document:
    """Read and check a file.

    Raises:
        FileInvalid: everything that is wrong in it.
        SetupInvalid: it is missing or can't be read.
    """
    return parse_rollout(read_content(path), path=str(path))


def parse_rollout(content: bytes | str, *, path: str = "rollout.yaml") -> Document:
    """Check a file's content, of any origin; `path` is its name in messages.

    Raises:
        FileInvalid: everything that is wrong in it.
    """
    if isinstance(content, str):
        content = content.encode(errors="surrogatepass")
    check_size(content, path)
    text = decode(content, path)
    root, rollout, findings, more = _examine(text)
    if root is None or rollout is None or findings:
        raise FileInvalid(path, findings, more)
    return Document(
        path=path,
        content=content,
        rollout=rollout,
        root=root,
    )


def _examine(text: str) -> tuple[Node | None, Rollout | None, list[Finding], int]:
    forbidden = _forbidden_findings(text)
    if len(forbidden) >= MAX_FORBIDDEN_CHARACTERS:
        return None, None, forbidden, 0
    composition = compose(without_forbidden_characters(text) if forbidden else text)
    findings, more = list(composition.findings), composition.more
    root, rollout = composition.root, None
    if root is not None:
        rollout, refused, not_kept = _validate(root)
        findings += refused
        more += not_kept
    affected = {finding.line for finding in forbidden}
    findings = forbidden + [each for each in findings if each.line not in affected]
    return root, rollout, findings, more


def _validate(root: Node) -> tuple[Rollout | None, list[Finding], int]:
    """Return the model, the findings that are kept, and the number of the others."""
    rules = rule_findings(root)
    contradictions = list(islice(rules, MAX_FINDINGS))
    more = sum(1 for _ in rules)
    try:
        return Rollout.model_validate(node_value(root)), contradictions, more
    except ValidationError as error:
        from reconciler.rollout_file.model_findings import model_findings

        refused = list(model_findings(error, root, MAX_FINDINGS))
        more += max(0, error.error_count() - MAX_FINDINGS)
        return None, contradictions + refused, more


def _forbidden_findings(text: str) -> list[Finding]:
    firsts: dict[int, Finding] = {}
    place, before = (1, 1), 0
    for offset, character in forbidden_characters(text, MAX_FORBIDDEN_CHARACTERS):
        place, before = position(text[before:offset], place), offset
        message = f"{character} must not be in the file; remove it"
        firsts.setdefault(place[0], Finding(*place, message))
    return list(firsts.values())
