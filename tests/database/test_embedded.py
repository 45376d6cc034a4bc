"""The embedded server: it starts once, is found again, and recovers from any damage."""

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg
import pytest

from reconciler.database.address import embedded_address
from reconciler.database.embedded import EmbeddedServer, ServerState, installed_binaries
from reconciler.database.embedded.account import Account, account_for
from reconciler.database.embedded.binaries import Binaries, runnable_binaries
from reconciler.database.embedded.process import LaunchedServer
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.errors import ReconcilerError, SetupInvalid, Unavailable
from tests.postgres import PROJECT

START = """
import sys
from pathlib import Path
from reconciler.database.embedded import EmbeddedServer
from reconciler.errors import ReconcilerError
try:
    print(EmbeddedServer(Path(sys.argv[1])).start(), flush=True)
except ReconcilerError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


STARTED: "list[subprocess.Popen[str]]" = []
"""The processes of a test; they are also ended if the test fails."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project's folder, closed to other users, without a database."""
    folder = tmp_path / "project"
    folder.mkdir(mode=0o700)
    yield folder
    while STARTED:
        with STARTED.pop() as command, suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGKILL)
    for made in tmp_path.rglob(".reconcile"):
        EmbeddedServer(made).stop()


@pytest.fixture
def server(project: Path) -> EmbeddedServer:
    return EmbeddedServer(project / ".reconcile")


def test_the_first_start_creates_a_database_the_next_finds_it(server: EmbeddedServer) -> None:
    first = server.start()
    process_id = server.status().process_id
    assert server.start() == first
    assert server.status().process_id == process_id
    assert query(first, "SELECT gen_random_uuid() IS NOT NULL") is True


def test_the_server_is_durable_private_and_the_same_everywhere(server: EmbeddedServer) -> None:
    url = server.start()
    settings = ("fsync", "listen_addresses", "server_encoding", "TimeZone", "synchronous_commit")
    assert [query(url, f"SHOW {name}") for name in settings] == ["on", "", "UTF8", "UTC", "on"]
    assert query(url, "SELECT datlocale FROM pg_database LIMIT 1") == "C.UTF-8"
    folder = socket_folder(url)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(os.fsencode(folder / ".s.PGSQL.5432")) < 100


def test_the_server_inherits_nothing_from_the_command(
    monkeypatch: pytest.MonkeyPatch, server: EmbeddedServer
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:secret@db/rollout")
    with tempfile.TemporaryFile() as opened:
        os.set_inheritable(opened.fileno(), True)
        server.start()
        process_id = server.status().process_id
        process = psutil.Process(process_id)
        assert "secret" not in str(process.environ())
        assert process.terminal() is None
        inherited = []
        for each in Path(f"/proc/{process_id}/fd").iterdir():
            # The server closes its own files meanwhile.
            with suppress(FileNotFoundError):
                inherited.append(os.path.samestat(each.stat(), os.fstat(opened.fileno())))
        assert inherited
        assert not any(inherited)


def test_git_ignores_the_servers_folder(project: Path, server: EmbeddedServer) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    server.start()
    status = ["git", "status", "--porcelain", "--untracked-files=all"]
    assert subprocess.check_output(status, cwd=project) == b""


def test_stop_ends_the_server_and_keeps_the_data(server: EmbeddedServer) -> None:
    assert server.status().state is ServerState.ABSENT
    assert server.stop() is False
    url = server.start()
    query(url, "CREATE TABLE kept AS SELECT 7 AS number")
    assert server.status().state is ServerState.RUNNING
    assert server.stop() is True
    assert server.stop() is False
    assert server.status().state is ServerState.STOPPED
    assert server.status().url is None
    assert not socket_folder(url).exists()
    assert query(server.start(), "SELECT number FROM kept") == 7


def test_another_start_does_not_disturb_existing_connections(
    project: Path, server: EmbeddedServer
) -> None:
    database = Database.at(embedded_address(project / "rollout.yaml"))

    def ask() -> None:
        with read_only_transaction(database) as connection:
            connection.execute("SELECT 1")

    ask()
    server.stop()
    with pytest.raises(Unavailable):
        ask()
    assert server.status().state is ServerState.STOPPED
    server.start()
    ask()


def test_the_server_survives_its_command_and_ctrl_c(server: EmbeddedServer) -> None:
    script = START + "import time; time.sleep(600)"
    command = start_python(script, folder_of(server))
    assert command.stdout is not None
    url = command.stdout.readline().strip()
    os.killpg(command.pid, signal.SIGINT)
    # Both pipes end although the server runs: it inherited none of the command's.
    command.communicate(timeout=30)
    assert command.returncode != 0
    assert query(url, "SELECT 1") == 1


def test_one_of_several_concurrent_starts_creates_the_database(server: EmbeddedServer) -> None:
    commands = [start_python(START, folder_of(server)) for _ in range(4)]
    answers = [command.communicate(timeout=120) for command in commands]
    assert {error for _, error in answers} == {""}
    assert len({url for url, _ in answers}) == 1
    log = server.status().log_file.read_text()
    assert log.count("starting PostgreSQL") == 1


def test_a_killed_server_restarts_with_all_committed_data(server: EmbeddedServer) -> None:
    url = server.start()
    query(url, "CREATE TABLE kept AS SELECT 7 AS number")
    kill_postmaster(server)
    again = server.start()
    assert query(again, "SELECT number FROM kept") == 7
    assert not socket_folder(url).exists()


def test_a_start_killed_during_initdb_leaves_no_partial_data(server: EmbeddedServer) -> None:
    command = start_python(START, folder_of(server))
    half_made = "postgres.unfinished-*/base/1/*"
    await_that(lambda: any(folder_of(server).glob(half_made)))
    for process in [psutil.Process(command.pid), *psutil.Process(command.pid).children(True)]:
        # A program that initdb runs can have ended.
        with suppress(psutil.NoSuchProcess):
            process.kill()
    command.communicate(timeout=30)
    assert server.status().state is ServerState.ABSENT
    assert query(server.start(), "SELECT 1") == 1
    assert not list(folder_of(server).glob("*unfinished*"))


def test_the_server_of_a_killed_start_is_found_again(server: EmbeddedServer) -> None:
    command = start_python(START, folder_of(server))
    await_that((folder_of(server) / "postgres" / "postmaster.pid").exists)
    command.kill()
    command.communicate(timeout=30)
    assert query(server.start(), "SELECT 1") == 1
    assert server.status().log_file.read_text().count("starting PostgreSQL") == 1


def test_a_reused_process_id_is_not_a_running_server(project: Path, server: EmbeddedServer) -> None:
    server.start()
    kill_postmaster(server)
    entry = folder_of(server) / "postgres" / "postmaster.pid"
    account = account_for(project)
    with subprocess.Popen(["sleep", "600"], **account.process_options()) as other:
        try:
            lines = [str(other.pid), *entry.read_text().splitlines()[1:]]
            entry.write_text("\n".join(lines) + "\n")
            await_that(lambda: server.status().state is ServerState.STOPPED)
            assert query(server.start(), "SELECT 1") == 1
            server.stop()
            assert other.poll() is None
        finally:
            other.kill()


@pytest.mark.parametrize("left", ["", "1", "nonsense\n"])
def test_a_partly_written_entry_is_not_a_running_server(
    project: Path, server: EmbeddedServer, left: str
) -> None:
    server.start()
    server.stop()
    entry = folder_of(server) / "postgres" / "postmaster.pid"
    entry.write_text(left)
    account_for(project).give(entry)
    assert server.stop() is False
    entry.write_text(left)
    account_for(project).give(entry)
    assert query(server.start(), "SELECT 1") == 1


def test_a_project_folder_can_be_deep(tmp_path: Path, project: Path) -> None:
    deep = tmp_path.joinpath(*["a" * 60] * 4, "ü 'quoted' %20")
    deep.mkdir(parents=True)
    server = EmbeddedServer(deep / ".reconcile")
    assert query(server.start(), "SELECT 1") == 1


def test_a_server_whose_socket_was_deleted_gets_a_new_one(server: EmbeddedServer) -> None:
    url = server.start()
    shutil.rmtree(socket_folder(url))
    assert server.status().state is ServerState.STARTING
    again = server.start()
    assert again != url
    assert query(again, "SELECT 1") == 1


def test_a_socket_folder_of_another_user_is_not_used(server: EmbeddedServer) -> None:
    """A folder at the socket's place that is open to others could belong to another user."""
    url = server.start()
    socket_folder(url).chmod(0o777)
    assert server.start() != url
    shutil.rmtree(socket_folder(url))


def test_a_moved_project_keeps_its_data_running_or_not(tmp_path: Path, project: Path) -> None:
    url = EmbeddedServer(project / ".reconcile").start()
    query(url, "CREATE TABLE kept AS SELECT 7 AS number")
    moved = project.rename(tmp_path / "moved")
    running = EmbeddedServer(moved / ".reconcile")
    assert running.start() == url
    assert running.stop() is True
    moved_again = EmbeddedServer(moved.rename(tmp_path / "moved again") / ".reconcile")
    assert query(moved_again.start(), "SELECT number FROM kept") == 7


def test_a_copied_project_has_a_server_of_its_own(tmp_path: Path, project: Path) -> None:
    original = EmbeddedServer(project / ".reconcile")
    query(original.start(), "CREATE TABLE kept AS SELECT 7 AS number")
    query(original.start(), "CHECKPOINT")
    subprocess.run(["cp", "-r", project, tmp_path / "copy"], check=True)
    copy = EmbeddedServer(tmp_path / "copy" / ".reconcile")
    assert copy.status().state is ServerState.STOPPED
    assert query(copy.start(), "SELECT number FROM kept") == 7
    query(copy.start(), "DROP TABLE kept")
    assert query(original.start(), "SELECT number FROM kept") == 7


def test_the_server_runs_unprivileged_in_a_private_folder(
    project: Path, server: EmbeddedServer
) -> None:
    server.start()
    process_id = server.status().process_id
    assert process_id is not None
    assert stat.S_IMODE(project.stat().st_mode) == 0o700
    assert 0 not in psutil.Process(process_id).uids()
    assert 0 not in psutil.Process(process_id).gids()


def test_programs_that_its_account_cannot_reach_are_copied_once(tmp_path: Path) -> None:
    account = account_for(tmp_path)
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "site").symlink_to(installed_binaries().site)
    with reachable_folder() as shared:
        found = runnable_binaries(Binaries(private / "site"), account, shared)
        assert found.version(account) == installed_binaries().version(
            Account(os.geteuid(), os.getegid())
        )
        made = sorted(path.name for path in shared.iterdir())
        assert runnable_binaries(Binaries(private / "site"), account, shared) == found
        assert sorted(path.name for path in shared.iterdir()) == made
        copies = [name for name in made if name.startswith("postgres-")]
        assert len(copies) == (0 if account.is_own else 1)


ORDINARY_USER = os.geteuid() or 65534

AS_ORDINARY_USER = """
import os, sys
from importlib import import_module
from pathlib import Path
for name in ("account", "binaries", "data", "process", "server"):
    import_module(f"reconciler.database.embedded.{name}")
import filelock, psycopg, urllib.parse
from reconciler.database.embedded import EmbeddedServer, binaries
from reconciler.database.embedded.account import Account
if os.geteuid() == 0:
    nobody = Account(65534, 65534)
    reachable = binaries.runnable_binaries(binaries.installed_binaries(), nobody, Path(sys.argv[2]))
    binaries.installed_binaries = lambda: reachable
    os.setgroups([])
    os.setgid(nobody.group_id)
    os.setuid(nobody.user_id)
server = EmbeddedServer(Path(sys.argv[1]))
print(server.start())
print(server.status().state)
assert (Path(sys.argv[1]) / "postgres").stat().st_uid == os.geteuid() != 0
with psycopg.connect(server.start()) as connection:
    print(connection.execute("SELECT 1").fetchone())
print(server.stop())
"""


def test_an_ordinary_user_runs_the_server_under_their_account() -> None:
    with reachable_folder() as folder, reachable_folder() as shared:
        os.chown(folder, ORDINARY_USER, -1)
        command = start_python(AS_ORDINARY_USER, folder / ".reconcile", shared)
        said, error = command.communicate(timeout=120)
        assert error == ""
        assert said.splitlines()[1:] == ["running", "(1,)", "True"]


def test_files_that_root_creates_belong_to_the_projects_owner() -> None:
    with reachable_folder() as folder, reachable_folder() as shared:
        os.chown(folder, ORDINARY_USER, -1)
        by_root = EmbeddedServer(folder / ".reconcile")
        by_root.start()
        by_root.stop()
        assert {path.lstat().st_uid for path in (folder / ".reconcile").rglob("*")} == {
            ORDINARY_USER
        }
        command = start_python(AS_ORDINARY_USER, folder / ".reconcile", shared)
        said, error = command.communicate(timeout=120)
        assert error == ""
        assert said.splitlines()[1:] == ["running", "(1,)", "True"]


def test_data_of_another_major_version_is_refused(server: EmbeddedServer) -> None:
    server.start()
    server.stop()
    version_file = folder_of(server) / "postgres" / "PG_VERSION"
    version_file.chmod(0o600)
    version_file.write_text("15\n")
    version_file.chmod(0o400)
    with pytest.raises(
        SetupInvalid, match="was created by Postgres 15, and this is Postgres 18"
    ) as error:
        server.start()
    assert_one_line(error.value)


def test_data_that_is_tracked_in_the_repository_is_refused(tmp_path: Path, project: Path) -> None:
    """Its settings could name any program to run."""
    EmbeddedServer(project / ".reconcile").start()
    EmbeddedServer(project / ".reconcile").stop()
    git = ["git", "-C", str(project)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--force", ".reconcile"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "Bring data"], check=True)
    subprocess.run(
        ["git", "clone", "--quiet", project, tmp_path / "clone"], check=True, umask=0o077
    )
    brought = EmbeddedServer(tmp_path / "clone" / ".reconcile")
    with pytest.raises(SetupInvalid, match="was not created by reconcile") as error:
        brought.start()
    assert_one_line(error.value)


def test_a_link_instead_of_the_folder_is_refused(tmp_path: Path, project: Path) -> None:
    (project / ".reconcile").symlink_to(tmp_path)
    with pytest.raises(SetupInvalid, match="is a link"):
        EmbeddedServer(project / ".reconcile").start()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project"]


@pytest.mark.parametrize("name", [".gitignore", "start.lock", "postgres.log", "postgres"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_in_the_folder_leads_to_no_file_elsewhere(
    tmp_path: Path, project: Path, name: str, *, exists: bool
) -> None:
    target = tmp_path / "target"
    if exists:
        target.write_text("precious")
    (project / ".reconcile").mkdir()
    (project / ".reconcile" / name).symlink_to(target)

    with suppress(ReconcilerError):
        EmbeddedServer(project / ".reconcile").start()

    assert target.exists() == exists
    assert not exists or target.read_text() == "precious"
    (project / ".reconcile" / name).unlink()


@pytest.fixture
def strangers_folder() -> Iterator[Path]:
    """The `.reconcile` folder of a project that belongs to another user."""
    if os.geteuid() != 0:
        pytest.skip("only root works for other users")
    with reachable_folder() as folder:
        (folder / ".reconcile").mkdir()
        for path in (folder, folder / ".reconcile"):
            os.chown(path, ORDINARY_USER, ORDINARY_USER)
        yield folder / ".reconcile"


def test_root_ends_no_process_that_another_user_names(strangers_folder: Path) -> None:
    data = strangers_folder / "postgres"
    data.mkdir()
    (data / "server.lock").touch()
    with subprocess.Popen(["sleep", "600"]) as victim:
        (data / "postmaster.pid").write_text(f"{victim.pid}\n/\n1\n5432\n\n\n\nready\n")
        for path in (data, *data.iterdir()):
            os.chown(path, ORDINARY_USER, ORDINARY_USER)
        lock = os.open(data / "server.lock", os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # The lock ends soon, as if the server had released it.
        threading.Timer(1, os.close, [lock]).start()
        EmbeddedServer(strangers_folder).stop()

        assert victim.poll() is None
        victim.kill()


@pytest.mark.parametrize("name", [".gitignore", "start.lock", "postgres.log", "postgres"])
def test_root_changes_nothing_where_another_users_link_leads(
    tmp_path: Path, strangers_folder: Path, name: str
) -> None:
    target = tmp_path / "target"
    target.mkdir() if name == "postgres" else target.write_text("precious")
    before = target.stat()
    (strangers_folder / name).symlink_to(target)

    with suppress(ReconcilerError):
        EmbeddedServer(strangers_folder).start()

    after = target.stat()
    kept = ("st_uid", "st_gid", "st_mode", "st_size", "st_mtime_ns")
    assert [getattr(after, each) for each in kept] == [getattr(before, each) for each in kept]
    (strangers_folder / name).unlink()
    EmbeddedServer(strangers_folder).stop()


@pytest.mark.parametrize(("made_before", "largest_file"), [(False, 200_000), (True, 4096)])
def test_a_full_disk_is_reported_with_the_servers_message(
    server: EmbeddedServer, made_before: bool, largest_file: int
) -> None:
    if made_before:
        server.start()
        kill_postmaster(server)
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest_file}, {largest_file}))"
    command = start_python(f"import resource; {limit}\n{START}", folder_of(server))
    said, error = command.communicate(timeout=120)
    assert said == ""
    assert error.startswith("Unavailable: the embedded database in ")
    assert "File too large" in error
    assert len(error.splitlines()) == 1
    assert not list(folder_of(server).glob("*unfinished*"))
    assert query(server.start(), "SELECT 1") == 1


def test_a_failed_start_reports_the_servers_last_message(server: EmbeddedServer) -> None:
    server.start()
    server.stop()
    with pytest.raises(Unavailable, match='invalid value for parameter "max_connections"'):
        EmbeddedServer(folder_of(server), {"max_connections": "no number"}).start()
    with pytest.raises(
        Unavailable, match='unrecognized configuration parameter "nonsense"'
    ) as error:
        EmbeddedServer(folder_of(server), {"nonsense": "1"}).start()
    assert_one_line(error.value)
    assert query(server.start(), "SELECT 1") == 1


def test_the_last_message_is_of_this_start_only(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    log.write_text("FATAL:  of old\n")
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        launched = LaunchedServer(process, tmp_path / "socket", log, log.stat().st_size)
    log.write_text("FATAL:  of old\nkilled\n")
    assert launched.last_words() == "killed\n"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / ".reconcile"
    with pytest.raises(
        Unavailable, match=r"missing/\.reconcile: No such file or directory"
    ) as error:
        EmbeddedServer(missing).start()
    assert_one_line(error.value)


def query(url: str, sql: str) -> object:
    """Return the one value that a statement returns, if it returns one."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(sql.encode())
        if cursor.description is None:
            return None
        row = cursor.fetchone()
        return row and row[0]


def socket_folder(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])


def folder_of(server: EmbeddedServer) -> Path:
    return server.status().data_folder.parent


def kill_postmaster(server: EmbeddedServer) -> None:
    process_id = server.status().process_id
    assert process_id is not None
    process = psutil.Process(process_id)
    process.kill()
    process.wait()


def start_python(script: str, *arguments: Path) -> "subprocess.Popen[str]":
    command = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    STARTED.append(command)
    return command


def await_that(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that every account can reach; pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="rollout-tests-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        EmbeddedServer(folder / ".reconcile").stop()
        shutil.rmtree(folder)


def assert_one_line(error: ReconcilerError) -> None:
    assert len(str(error).splitlines()) == 1
