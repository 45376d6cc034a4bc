"""Running git, with nothing of ours in its environment and nothing of others' in its way.

The environment is an allow-list, so that no database URL and no token reaches git, its helpers or its
hooks; that is why the program is called directly (a wrapper library hands its whole environment on).
Hooks, file-system monitors and system configuration are off, since a repository may be hostile.
"""

import os
import subprocess
from pathlib import Path
from typing import Final

_PASSED_ON: Final = (
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
    "GIT_CONFIG_GLOBAL",
    "GIT_CEILING_DIRECTORIES",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TMPDIR",
)

_FIXED: Final = {
    "LC_ALL": "C.UTF-8",
    "GIT_ALLOW_PROTOCOL": "file:https:ssh",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
}

_SAFER: Final = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")


class GitFailed(Exception):
    """A git command ended with an error: its own words are the message."""

    def __init__(self, exit_code: int, message: str) -> None:
        self.exit_code = exit_code
        super().__init__(message)


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it prints.

    Raises:
        GitFailed: git ended with an error.
        FileNotFoundError: there is no git here.
    """
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    completed = subprocess.run(
        ("git", *_SAFER, "-C", str(folder), *arguments),
        env=passed_on | _FIXED,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if completed.returncode != 0:
        message = completed.stderr.decode("utf-8", "replace").strip()
        raise GitFailed(completed.returncode, message)
    return completed.stdout.decode("utf-8", "replace")
