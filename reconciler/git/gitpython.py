"""GitPython's names, imported without a start of git.

GitPython runs `git version` when it is imported, with all of this process's environment. While it is
imported here, the program that it looks for does not exist, so that nothing is started.
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
