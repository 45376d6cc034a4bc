"""Signatures of commits, checked by `git verify-commit` against a given list of allowed signers.

Only SSH signatures count, by keys of that list. No setting of the repository or of the account that runs
this can name other keys or another program.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from reconciler.git.repository import Repository

_GOOD: Final = re.compile(
    r'^Good "git" signature for (\S+) with \S+ key (SHA256:\S+)$', re.MULTILINE
)
_UNKNOWN: Final = re.compile(r'^Good "git" signature with ', re.MULTILINE)
_TIMEOUT_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature: the signer's name in the list, or why it does not count."""

    principal: str | None
    problem: str = ""


def verify_commits(
    repository: Repository, commits: tuple[str, ...], allowed_signers: bytes
) -> dict[str, Signature]:
    """Return the signature of each commit, checked against the content of a file of allowed signers."""
    with TemporaryDirectory(prefix="rollout-signers-") as folder:
        listed = Path(folder) / "allowed_signers"
        listed.write_bytes(allowed_signers)
        return {each: _verify(repository, each, listed) for each in commits}


def _verify(repository: Repository, commit: str, allowed_signers: Path) -> Signature:
    settings = {
        "gpg.ssh.allowedSignersFile": str(allowed_signers),
        "gpg.ssh.program": "ssh-keygen",
        "gpg.ssh.revocationFile": "/dev/null",
        "gpg.minTrustLevel": "fully",
        # Signatures of other kinds are checked by keys of the account: they do not count.
        "gpg.program": "false",
        "gpg.openpgp.program": "false",
        "gpg.x509.program": "false",
    }
    fixed = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    exit_code, output, messages = repository.git.execute(
        ["git", *fixed, "verify-commit", "--raw", commit],
        with_extended_output=True,
        with_exceptions=False,
        kill_after_timeout=_TIMEOUT_SECONDS,
    )
    said = f"{output}\n{messages}"
    good = _GOOD.search(said)
    if exit_code == 0 and good is not None:
        return Signature(good[1])
    if _UNKNOWN.search(said):
        return Signature(None, "is signed by a key that is not listed, or not valid at that time")
    if not said.strip():
        return Signature(None, "has no signature")
    return Signature(None, "has no valid SSH signature")
