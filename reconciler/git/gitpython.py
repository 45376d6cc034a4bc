"""GitPython's names, imported without running git.

GitPython runs `git version` at its import, with the whole environment of this process. During the
import here, its program does not exist, so nothing is run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Git", "GitCommandError", "GitError", "Repo"]


@contextmanager
def _without_a_start() -> Iterator[None]:
    names = {"GIT_PYTHON_GIT_EXECUTABLE": os.devnull, "GIT_PYTHON_REFRESH": "quiet"}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


with _without_a_start():
    from git import Git, GitCommandError, GitError, Repo
