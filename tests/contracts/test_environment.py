"""The environment variables that the program reads, by their names in its source."""

import ast
import re
from collections.abc import Iterator

from tests.contracts.record import check_lines
from tests.postgres import PROJECT

OURS = re.compile(
    r"(ROLLOUT|GITHUB|PROMETHEUS|DATABASE)_[A-Z_]+|NO_COLOR|CI|HOME|PATH|XDG_[A-Z_]+|SSH_[A-Z_]+"
    r"|GIT_(SSH_COMMAND|CONFIG_GLOBAL|CEILING_DIRECTORIES|(AUTHOR|COMMITTER)_[A-Z]+)|SSL_[A-Z_]+"
    r"|(?i:https?_proxy|no_proxy|all_proxy)|TMPDIR"
)
"""Other variables of git that the program sets; these are no contract."""


def test_environment_variables() -> None:
    check_lines("environment", _names())


def _names() -> Iterator[str]:
    for package in ("reconciler", "rollout_client"):
        for module in (PROJECT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(module.read_text("utf-8"))):
                match node:
                    case ast.Constant(value=str() as text) if OURS.fullmatch(text):
                        yield text
                    case _:
                        pass
