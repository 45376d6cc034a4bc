"""Running git, with nothing of ours in its environment and nothing of others' in its way.

The environment is an allow-list, so that no database URL and no token reaches git, its helpers or its
hooks; that is why the program is called directly (a wrapper library hands its whole environment on).
Hooks, file-system monitors and system configuration are off, since a repository may be hostile; so is
what would put signatures between a log's lines.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
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

_SAFER: Final = (
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "log.showSignature=false",
)

_CREDENTIALS_IN_URL: Final = re.compile(r"(?<=://)\S*@")
"""Up to the last of several: git itself leaves what follows the first, or a slash that is not encoded."""

NOTHING_ELSE: Final[Mapping[str, str]] = MappingProxyType({})


class GitFailed(Exception):
    """A git command ended with an error: its own words, without credentials, are the message."""

    def __init__(self, exit_code: int, message: str, output: str = "") -> None:
        self.exit_code = exit_code
        self.output = _CREDENTIALS_IN_URL.sub("", output)
        """What it had printed as its result."""
        super().__init__(_CREDENTIALS_IN_URL.sub("", message))


class GitTimedOut(GitFailed):
    """A git command took too long and was ended, with every process that it had started."""

    def __init__(self, seconds: float) -> None:
        super().__init__(-signal.SIGKILL, f"no answer within {seconds:g} seconds")


def git(
    folder: Path,
    *arguments: str,
    stdin: bytes = b"",
    environment: Mapping[str, str] = NOTHING_ELSE,
    timeout_seconds: float | None = None,
) -> str:
    """Run git in a folder and return what it prints, as text.

    Raises:
        GitFailed: git ended with an error, or did not end in time.
        FileNotFoundError: there is no git here.
    """
    output = git_bytes(
        folder, *arguments, stdin=stdin, environment=environment, timeout_seconds=timeout_seconds
    )
    return output.decode("utf-8", "replace")


def git_bytes(
    folder: Path,
    *arguments: str,
    stdin: bytes = b"",
    environment: Mapping[str, str] = NOTHING_ELSE,
    timeout_seconds: float | None = None,
) -> bytes:
    """Run git in a folder and return what it prints, byte for byte.

    Args:
        folder: where.
        arguments: the command and what follows it.
        stdin: what git reads.
        environment: variables beside those that every git command gets.
        timeout_seconds: after so long it is ended; None waits for ever.

    Raises:
        GitFailed: git ended with an error, or did not end in time.
        FileNotFoundError: there is no git here.
    """
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    process = subprocess.Popen(
        ("git", *_SAFER, "-C", str(folder), *arguments),
        env={**passed_on, **_FIXED, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A group of its own, so that what talks to the network for it ends with it.
        start_new_session=True,
    )
    try:
        output, said = process.communicate(stdin, timeout_seconds)
    except BaseException as error:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired) and timeout_seconds is not None:
            raise GitTimedOut(timeout_seconds) from None
        raise
    if process.returncode != 0:
        raise GitFailed(
            process.returncode,
            said.decode("utf-8", "replace").strip(),
            output.decode("utf-8", "replace"),
        )
    return output
