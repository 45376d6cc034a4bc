"""Commits that are signed with real SSH keys."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Key:
    """A key of a person."""

    person: str
    file: Path

    @classmethod
    def make(cls, folder: Path, person: str) -> "Key":
        file = folder / person.partition("@")[0]
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", person, "-f", str(file)],
            check=True,
        )
        return cls(person, file)

    def listed(self, options: str = "", person: str | None = None) -> str:
        """Return the line of a file of allowed signers."""
        public = self.file.with_suffix(".pub").read_text().rpartition(" ")[0]
        return f"{person or self.person} {options}{' ' if options else ''}{public}\n"

    def options(self) -> tuple[str, ...]:
        """Return the settings with which git signs a commit by this key."""
        return (
            *("-c", "gpg.format=ssh", "-c", f"user.signingKey={self.file}"),
            *("-c", "commit.gpgSign=true", "-c", f"user.email={self.person}"),
        )
