"""Running git: without variables of this process, and without settings that a repository could bring.

Every call of git by the package goes through `RestrictedGit.execute`. The environment is an
allow-list, so that no database URL and no token reaches git, its helpers or its hooks. A repository
may be hostile: hooks, file-system monitors and the system configuration are off, and a bare
repository counts only if it is named. Signatures between the lines of a log are off too.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from io import BytesIO
from types import MappingProxyType
from typing import IO, Any, Final

from reconciler.errors import ReconcilerError, SetupInvalid
from reconciler.git import process
from reconciler.git.gitpython import Git, GitCommandError

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
    # Other parents that a clone gives to a commit: no other clone has them.
    "GIT_GRAFT_FILE": f"{os.devnull}/none",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
}

_SAFER: Final = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "log.showSignature=false"),
    # Messages can be in other encodings: git converts those that it shows, and does not change new ones.
    *("-c", "i18n.logOutputEncoding=UTF-8"),
    *("-c", "i18n.commitEncoding=UTF-8"),
    *("-c", "safe.bareRepository=explicit"),
)

SIGNING_VARIABLES: Final = ("GNUPGHOME", "GPG_TTY")
"""The variables that a signature needs in addition to those of every command."""

_CREDENTIALS_IN_URL: Final = re.compile(r"(?<=://)\S*@")
"""Up to the last `@`: git itself leaves the text after the first one, or after an unencoded slash."""

_ERRORS: Final = ("fatal:", "error:", "ssh:")
_ERROR: Final = re.compile("^(fatal|error): ")

NOTHING_ELSE: Final[Mapping[str, str]] = MappingProxyType({})


class GitMissing(SetupInvalid):
    """git is missing, or may not be run."""

    def __init__(self) -> None:
        super().__init__(
            "git cannot be run: it is not on PATH, or its file is not executable; install git"
        )


class GitFailed(ReconcilerError, GitCommandError):
    """A git command failed: its own message, without credentials, in one line."""

    def __init__(
        self, command: Sequence[str], exit_code: int, messages: str, output: str = ""
    ) -> None:
        GitCommandError.__init__(self, list(command), exit_code)
        self.messages = _CREDENTIALS_IN_URL.sub("", messages).strip()
        """The text that it wrote to stderr."""
        self.output = _CREDENTIALS_IN_URL.sub("", output)
        """The result that it printed."""

    def __str__(self) -> str:
        lines = [line.strip() for line in self.messages.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(_ERRORS)] or lines or ["no message"]
        # The first line is the cause, the last one the consequence.
        shown = dict.fromkeys(_ERROR.sub("", each) for each in (errors[0], errors[-1]))
        return "".join(each if each.isprintable() else " " for each in "; ".join(shown))


class GitTimedOut(GitFailed):
    """A git command took too long and was ended, with every process that it started."""


class RestrictedGit(Git):
    """The git program as GitPython calls it, with a reduced environment, safe settings and limits.

    A command is a method with its arguments: `git.rev_parse("--verify", "HEAD")`. Further options
    are `istream` (a `BytesIO` that git reads), `env` (additional variables), `kill_after_timeout`
    (seconds) and `stdout_as_string` (False for bytes).
    """

    GIT_PYTHON_GIT_EXECUTABLE = "git"

    def execute(  # type: ignore[override] # what GitPython overloads by constants is one signature here
        self,
        command: Sequence[str],
        istream: IO[bytes] | int | None = None,
        *,
        with_extended_output: bool = False,
        with_exceptions: bool = True,
        as_process: bool = False,
        stdout_as_string: bool = True,
        strip_newline_in_stdout: bool = True,
        kill_after_timeout: float | None = None,
        env: Mapping[str, str] = NOTHING_ELSE,
    ) -> Any:
        """Run git and return its output.

        Raises:
            GitFailed: git failed, did not end in time, or printed too much.
            GitMissing: git is missing.
        """
        program, *arguments = command
        called = (program, *_SAFER, "-C", str(self.working_dir or "."), *arguments)
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment = {**passed_on, **_FIXED, **self.environment(), **env}
        try:
            if as_process:
                stdin = istream if isinstance(istream, int) else subprocess.DEVNULL
                return self.AutoInterrupt(process.start(called, environment, stdin), called)
            content = istream.getvalue() if isinstance(istream, BytesIO) else b""
            ended = process.run(called, environment, content, kill_after_timeout)
        except process.TooSlow:
            message = f"no answer within {kill_after_timeout:g} seconds"
            raise GitTimedOut(command, -signal.SIGKILL, message) from None
        except process.TooMuchOutput:
            message = f"it printed more than {process.MAX_OUTPUT_BYTES // 2**20} MiB"
            raise GitFailed(command, -signal.SIGKILL, message) from None
        except (FileNotFoundError, PermissionError):
            raise GitMissing from None
        messages = ended.messages.decode("utf-8", "replace")
        output = ended.output.removesuffix(b"\n") if strip_newline_in_stdout else ended.output
        text = output.decode("utf-8", "replace") if stdout_as_string else output
        if with_exceptions and ended.exit_code != 0:
            raise GitFailed(
                command, ended.exit_code, messages, ended.output.decode("utf-8", "replace")
            )
        return (ended.exit_code, text, messages) if with_extended_output else text
