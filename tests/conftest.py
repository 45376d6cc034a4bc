"""Fixtures for every test: a known environment, a database and a site."""

import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen
from types import FrameType
from typing import Any

import pytest
from hypothesis import settings

from tests.postgres import Database, TestRun
from tests.site import Site

_RUN = pytest.StashKey[TestRun]()
_WATCHER = pytest.StashKey[Popen[bytes]]()

# The same examples in each run, so a failure can be repeated; nightly runs try others.
settings.register_profile("each_change", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("nightly", deadline=None, max_examples=1000, print_blob=True)

_LONGEST = {"test_reconcile_machine.py", "test_commits.py", "test_kill.py", "test_story.py"}

_ENVIRONMENT = {
    "HOME": "/dev/null/home",  # cannot be read or created
    "TZ": "Asia/Kathmandu",  # five hours and three quarters
    "LC_ALL": "C",
    "LANG": "C",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Ada Author",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada Author",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    # An act reports at once that no server answers; tests of the waiting set it.
    "ROLLOUT_DATABASE_WAIT": "0",
}
_UNSET = ("CI", "COLUMNS", "DATABASE_URL", "FORCE_COLOR", "NO_COLOR", "LANGUAGE", "EDITOR", "PAGER")
_UNSET_BEGINNINGS = (
    "GIT_",
    "GITHUB_",
    "LC_",
    "PG",
    "PROMETHEUS_",
    "ROLLOUT_",
    "SSH_",
    "XDG_",
    "_RECONCILE_",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nightly",
        action="store_true",
        help="run every test, at the sizes too large for each change",
    )


def pytest_configure(config: pytest.Config) -> None:
    _give_children_default_signals()
    nightly = config.getoption("--nightly")
    if not config.getoption("--hypothesis-profile", default=None):
        settings.load_profile("nightly" if nightly else "each_change")
    shared: dict[str, Any] | None = getattr(config, "workerinput", None)
    if shared is not None:
        config.stash[_RUN] = TestRun(Path(shared["test_run"]))
    else:
        config.stash[_RUN], config.stash[_WATCHER] = TestRun.begin()
        # pytest creates the folders of tests here; they are deleted with the run.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(config.stash[_RUN].folder))


def _give_children_default_signals() -> None:
    """Handle each signal that this process ignores; the handler does nothing.

    A run in the background is started with ignored signals. Children inherit an ignored signal,
    also through exec. A handled signal has its default action in a child.
    """
    # Python itself ignores SIGPIPE, and restores it in its children.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _do_nothing)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal that the run ignores."""


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the folder of the run to a worker."""
    node.workerinput["test_run"] = str(node.config.stash[_RUN].folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_RUN].disconnect()
    watcher = config.stash.get(_WATCHER, None)
    if watcher is not None:
        watcher.communicate()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # The longest tests come first, so that no worker is left with one at the end.
    items.sort(key=lambda item: item.path.name not in _LONGEST)
    if config.getoption("--nightly"):
        return
    nightly = [item for item in items if item.get_closest_marker("nightly")]
    if nightly:
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if item not in nightly]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Exclude the objects that collecting tests made from garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _known_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give every test the same environment on every machine."""
    for name in os.environ:
        if name in _UNSET or name.startswith(_UNSET_BEGINNINGS):
            monkeypatch.delenv(name)
    for name, value in _ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def at_size(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """The first number of examples for each change, the second with `--nightly`."""
    nightly = bool(pytestconfig.getoption("--nightly"))
    return lambda each_change, at_night: at_night if nightly else each_change


@pytest.fixture(scope="session")
def databases(pytestconfig: pytest.Config) -> TestRun:
    """The run, for a test that makes its databases itself."""
    return pytestconfig.stash[_RUN]


@pytest.fixture(scope="module")
def module_database(pytestconfig: pytest.Config) -> Iterator[Database]:
    """Like `database`, for all tests of a module: each must work with the data of the others."""
    run = pytestconfig.stash[_RUN]
    with run.database(template=run.migrated_template()) as database:
        yield database


@pytest.fixture
def database(pytestconfig: pytest.Config) -> Iterator[Database]:
    """A database with the newest schema and no rows."""
    run = pytestconfig.stash[_RUN]
    with run.database(template=run.migrated_template()) as database:
        yield database


@pytest.fixture
def empty_database(pytestconfig: pytest.Config) -> Iterator[Database]:
    """A database without a schema."""
    with pytestconfig.stash[_RUN].database(template="template0") as database:
        yield database


@pytest.fixture
def copy_of(pytestconfig: pytest.Config) -> Iterator[Callable[[Database], Database]]:
    """Makes a copy of a database that has no connections."""
    with ExitStack() as copies:

        def copy(database: Database) -> Database:
            name = database.value("SELECT current_database()")
            return copies.enter_context(pytestconfig.stash[_RUN].database(template=name))

        yield copy


@pytest.fixture(scope="session")
def _first_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of the site from which all others are copied; the first test that needs it makes it."""
    return tmp_path_factory.mktemp("first") / "parent"


@pytest.fixture
def site(tmp_path: Path, database: Database, _first_site: Path) -> Iterator[Site]:
    """A git repository with a remote, a rollout file and a database of its own."""
    if not _first_site.exists():
        _first_site.mkdir()
        Site.make(_first_site, database)
    site = Site.copied(_first_site, tmp_path, database)
    yield site
    site.end()
