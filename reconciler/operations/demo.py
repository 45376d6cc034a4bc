"""A trial on one machine: sample files, a git repository with a remote, a database with repositories."""

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.database.address import EMBEDDED_FOLDER
from reconciler.errors import SetupInvalid

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection, DriverConnection
    from reconciler.database.repositories import LoadOutcome
    from reconciler.database.transactions import Database

ROLLOUT_FILE: Final = "rollout.yaml"
REPOSITORIES: Final = "repositories.csv"
REMOTE: Final = "origin.git"
DEMO_ACTOR: Final = "demo"
_ROLLBACK_REASON: Final = "the jobs of the new runner image fail"
_IGNORED: Final = f"/{EMBEDDED_FOLDER}/\n/{REMOTE}/\n"
_SAMPLES: Final = files("reconciler") / "demo_files"


def next_lines() -> str:
    """Return the lines to type in the folder of a demo, with comments."""
    return (_SAMPLES / "next-lines.sh").read_text("utf-8")


def dashboard_lines() -> str:
    """Return the lines that show a demo with jobs, with comments."""
    return (_SAMPLES / "dashboard-lines.sh").read_text("utf-8")


def require_new_folder(folder: Path) -> None:
    """Make the folder of a demo; one that only has the database of a demo counts as new.

    Raises:
        SetupInvalid: the folder is a file, has files or cannot be made, or git is missing.
    """
    from reconciler.git.repository import require_supported_git

    require_supported_git()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        has_files = any(each.name != EMBEDDED_FOLDER for each in folder.iterdir())
    except OSError as error:
        raise SetupInvalid(
            f"{folder} cannot be the folder: {error.strerror}; name another one"
        ) from None
    if has_files:
        raise SetupInvalid(f"{folder} is not empty and stays as it is; name a new folder")


def write_files(folder: Path) -> None:
    """Write the sample files into a folder, and make it a git repository with a remote.

    Raises:
        SetupInvalid: the folder cannot be written, or git does not work.
    """
    from reconciler.git.new_repository import create_repository

    try:
        for name in (ROLLOUT_FILE, REPOSITORIES):
            (folder / name).write_bytes((_SAMPLES / name).read_bytes())
        (folder / ".gitignore").write_text(_IGNORED, "utf-8")
    except OSError as error:
        raise SetupInvalid(
            f"{folder} cannot be written: {error.strerror}; name another folder"
        ) from None
    create_repository(folder, folder / REMOTE, "Declare the rollout of capture")


def load_samples(database: "Database", folder: Path) -> "LoadOutcome":
    """Load the sample repositories into the database of a demo."""
    from reconciler.database.repositories import load_repositories
    from reconciler.database.repositories_file import read_repositories
    from reconciler.database.transactions import write_transaction

    source = folder / REPOSITORIES
    rows = read_repositories(source)

    def load(connection: "DriverConnection") -> "LoadOutcome":
        return load_repositories(connection, str(source), rows)

    return write_transaction(database, load)


def add_day(database: "Database", folder: Path) -> None:
    """Apply the file of a new demo as of a day ago, and add jobs of both processors with a rollback.

    The rollback is three hours old. Write-back has not seen it yet.
    """
    from datetime import UTC, datetime
    from decimal import Decimal

    from reconciler.database import demo_day
    from reconciler.database.transactions import read_only_transaction, write_transaction
    from reconciler.operations.reconcile import apply, read_source
    from reconciler.operations.safeguard import roll_back
    from reconciler.planning.application import Application
    from reconciler.rollout_file.reader import read_rollout_file

    document = read_rollout_file(folder / ROLLOUT_FILE)
    now = datetime.now(UTC)
    (feature,) = document.rollout.features
    apply(database, Application(read_source(document), document.rollout, DEMO_ACTOR))
    write_transaction(database, lambda each: demo_day.move_apply(each, now))
    with read_only_transaction(database) as connection:
        before = demo_day.read_eligible(connection, feature)
    roll_back(database, feature, Decimal(0), by=DEMO_ACTOR, reason=_ROLLBACK_REASON)
    with read_only_transaction(database) as connection:
        after = demo_day.read_eligible(connection, feature)

    def write(connection: "AnyConnection") -> None:
        demo_day.move_rollback(connection, now)
        demo_day.add_jobs(connection, feature, now, before, after)

    write_transaction(database, write)
