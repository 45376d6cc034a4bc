"""The account of the embedded Postgres.

Postgres refuses to run as root, so root runs it under an account without privileges; every other user runs
it under their own account. This module gives every file of the server to that account.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

from reconciler.errors import SetupInvalid


class ProcessOptions(TypedDict, total=False):
    """The options of `subprocess` that set a process's account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """The user id and the group id of the server."""

    user_id: int
    group_id: int

    @property
    def is_own(self) -> bool:
        """Whether this process runs under this account."""
        return self.user_id == os.geteuid()

    def process_options(self) -> ProcessOptions:
        """Return the options with which `subprocess` starts a process under this account."""
        if self.is_own:
            return {}
        return {"user": self.user_id, "group": self.group_id, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make this account the owner of a path; a link itself, not its target."""
        if not self.is_own:
            os.chown(path, self.user_id, self.group_id, follow_symlinks=False)

    def give_tree(self, folder: Path) -> None:
        """Make this account the owner of a folder and all of its content, without following links."""
        if self.is_own:
            return
        for _, folders, files, descriptor in os.fwalk(folder, follow_symlinks=False):
            for name in (*folders, *files):
                os.chown(
                    name, self.user_id, self.group_id, dir_fd=descriptor, follow_symlinks=False
                )
        self.give(folder)


ROOT: Final = Account(0, 0)


@contextmanager
def acting_as(account: Account) -> Iterator[None]:
    """Run with the rights of an account, and with root's again afterwards; only root can call this.

    A link, a name or a process id from another user then reaches only what that user can reach. A
    child process cannot return to root's rights.
    """
    users, groups, others = os.getresuid(), os.getresgid(), os.getgroups()
    _set_rights(account, [] if account != ROOT else others)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setgroups(others)
        os.setresgid(*groups)
        os.setresuid(*users)


def is_acting() -> bool:
    """Return whether root acts with the rights of another account now."""
    return os.geteuid() != 0 and os.getresuid()[2] == 0


def _set_rights(account: Account, groups: list[int]) -> None:
    # The saved ids stay root's, so that root can return.
    os.setresuid(0, 0, 0)
    os.setgroups(groups)
    os.setresgid(account.group_id, account.group_id, 0)
    os.setresuid(account.user_id, account.user_id, 0)


def account_for(project: Path) -> Account:
    """Return the account for the server of the project in this folder.

    It is the current user. For root it is the folder's owner, who can then continue without root,
    or the account `nobody` if root owns the folder. (Other processes of `nobody` can reach such a
    server; no account with fewer rights exists on every machine.)

    Raises:
        SetupInvalid: this machine has no account that could run Postgres.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    owner = project.stat().st_uid
    for user in (owner, "nobody", 65534):
        entry = _entry(user)
        if entry is not None and entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise SetupInvalid(
        "the embedded database can't run as root, and this machine has no account `nobody`: "
        "run reconcile as an ordinary user, or set DATABASE_URL"
    )


def _entry(user: int | str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(user)
    except KeyError:
        return None
