"""Under which account the embedded Postgres runs.

Postgres refuses to run as root, so root hands it to an account without privileges; anybody else
runs it as themselves. Every file made for the server is given to that account here.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from reconciler.errors import SetupInvalid


class ProcessOptions(TypedDict, total=False):
    """The options of `subprocess` that choose a process's account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group ids that the server runs under."""

    user_id: int
    group_id: int

    @property
    def is_own(self) -> bool:
        """Whether this process runs under it already."""
        return self.user_id == os.geteuid()

    def process_options(self) -> ProcessOptions:
        """What makes `subprocess` start a process under this account."""
        if self.is_own:
            return {}
        return {"user": self.user_id, "group": self.group_id, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make the path, itself and not what it may link to, this account's."""
        if not self.is_own:
            os.chown(path, self.user_id, self.group_id, follow_symlinks=False)

    def give_tree(self, folder: Path) -> None:
        """Make a folder and everything in it this account's, following no link."""
        if self.is_own:
            return
        for _, folders, files, descriptor in os.fwalk(folder, follow_symlinks=False):
            for name in (*folders, *files):
                os.chown(
                    name, self.user_id, self.group_id, dir_fd=descriptor, follow_symlinks=False
                )
        self.give(folder)


def account_for(project: Path) -> Account:
    """The account for the server of the project in this folder.

    Ourselves, but for root: then the folder's owner, who may go on without root later, or `nobody`
    where the folder is root's too. (Other processes of `nobody` can reach such a server; no account
    with less to it is there on every machine.)

    Raises:
        SetupInvalid: This machine has no account that could run Postgres.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    owner = project.stat().st_uid
    for user in (owner, "nobody", 65534):
        entry = _entry(user)
        if entry is not None and entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise SetupInvalid(
        "the embedded database can't run as root, and there is no account `nobody` here to run it: "
        "run reconcile as an ordinary user, or set DATABASE_URL"
    )


def _entry(user: int | str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(user)
    except KeyError:
        return None
