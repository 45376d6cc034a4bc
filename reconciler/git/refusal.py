"""The reason for a refused push: the word of git and the whole message of the remote, in a line."""

import re
from typing import Final

from reconciler.git.command import GitFailed
from reconciler.rollout_file.characters import one_line
from reconciler.rollout_file.override import MAX_REASON_LENGTH

_REJECTED: Final = re.compile(r"\[(remote )?rejected\]")
_REMOTE: Final = "remote:"


def refusal_reason(failure: GitFailed) -> str:
    """Return the reason for which a push failed, in a line without control characters."""
    lines = [line.strip() for line in f"{failure.output}\n{failure.messages}".splitlines()]
    refused = next((line[line.index("[") :] for line in lines if _REJECTED.search(line)), None)
    if refused is None:
        return str(failure)
    remote = [
        " ".join(line.removeprefix(_REMOTE).split()) for line in lines if line.startswith(_REMOTE)
    ]
    shown = [" ".join(refused.split()), *(line for line in remote if line)]
    return one_line("; ".join(shown), MAX_REASON_LENGTH)
