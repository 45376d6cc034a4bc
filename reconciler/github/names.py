"""Names on GitHub of one rollout file: its markers, labels, branches and artifact.

A repository can have several rollout files. The names of `rollout.yaml` are short; the names of any other
file contain its path, so that the job of one file never changes a comment or an issue of another.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

DEFAULT_FILE: Final = "rollout.yaml"
MAX_LABEL: Final = 50
"""Characters of a label on GitHub."""

_LABEL: Final = "rollout"
_ARTIFACT: Final = "rollout-preview"
_SHOWN_OF_A_LONG_LABEL: Final = 32


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one rollout file."""

    file: str = DEFAULT_FILE
    """Its path from the root of the repository, with slashes."""

    @classmethod
    def of(cls, file: Path) -> "Names":
        """Return the names of a file in the workspace of a job, or in the current folder."""
        root = os.path.realpath(os.environ.get("GITHUB_WORKSPACE") or ".")
        absolute = Path(os.path.realpath(file.parent)) / file.name
        inside = absolute.is_relative_to(root)
        return cls((absolute.relative_to(root) if inside else absolute).as_posix())

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of an issue; the last one is of this file alone."""
        if self._is_default:
            return (_LABEL,)
        label = f"{_LABEL} {self._key}"
        if len(label) > MAX_LABEL:
            digest = hashlib.sha256(self._key.encode()).hexdigest()[:8]
            label = f"{_LABEL} {digest} {self._key[-_SHOWN_OF_A_LONG_LABEL:]}"
        return (_LABEL, label)

    @property
    def artifact(self) -> str:
        """The artifact of a fork's run."""
        return _ARTIFACT if self._is_default else f"{_ARTIFACT}-{self._key.replace('/', '%2F')}"

    @property
    def title_suffix(self) -> str:
        """The end of a title, so that a reader knows the file."""
        return "" if self._is_default else f" ({self.file})"

    def marker(self, kind: str, name: str = "") -> str:
        """Return the hidden marker of a kind of text, for the feature `name` if given."""
        return f"{self.marker_prefix(kind)}{name} -->" if name else f"{self._marker(kind)} -->"

    def marker_prefix(self, kind: str) -> str:
        """Return the beginning of the markers of a kind of text, for every feature."""
        return f"{self._marker(kind)} "

    def branch(self, name: str) -> str:
        """Return the name of a branch for this file."""
        return f"rollout/{name}" if self._is_default else f"rollout/file/{self._key}/{name}"

    def _marker(self, kind: str) -> str:
        return f"<!-- rollout-reconciler{'' if self._is_default else f' {self._key}'}: {kind}"

    @property
    def _is_default(self) -> bool:
        return self.file == DEFAULT_FILE

    @property
    def _key(self) -> str:
        """The path in characters that are valid in a comment of HTML, a label and a branch."""
        quoted = quote(self.file, safe="/").replace("~", "%7E").replace("--", "-%2D")
        parts = [_valid_in_a_branch(part) for part in quoted.split("/")]
        return "/".join(part for part in parts if part)


def _valid_in_a_branch(part: str) -> str:
    part = part.replace("..", ".%2E")
    if part.startswith("."):
        part = f"%2E{part[1:]}"
    return f"{part.removesuffix('.lock')}%2Elock" if part.endswith(".lock") else part
