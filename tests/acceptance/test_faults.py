"""A cut connection or a killed program: the change is made once or not at all, and the output says which.

For every message, and with locks of others: tests/database/test_faults.py.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import Popen

import pytest

from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.operations.reconcile import apply, read_source
from reconciler.planning.application import Application
from reconciler.rollout_file import read_rollout_file
from tests.eventually import eventually
from tests.fault_proxy import Deed, FaultProxy, Message, Rule, Side
from tests.merges import commit_percentage, percentage
from tests.postgres import Database
from tests.replay import live_state, replayed_state
from tests.site import Completed, Site

LOCK, GENERATION, COMMIT = "FROM public.rollout_lock", "INTO public.rollout_generation", "COMMIT\0"


@pytest.fixture
def merged(site: Site) -> Site:
    """A site at its first generation, ten percent; twelve percent are merged but not applied."""
    document = read_rollout_file(site.file)
    applied = Application(read_source(document), document.rollout, "a test")
    apply(OpenedDatabase.at(site.database.address), applied)
    commit_percentage(site, 12)
    return site


def through(proxy: FaultProxy, site: Site) -> Site:
    return Site(site.folder, site.remote, Database(proxy.url), site.started)


def at(text: str, deed: Deed) -> Rule:
    """Do this to each message of the first connection on which the program sends this statement."""
    return lambda message: (
        deed
        if message.says(text) and message.side is Side.FRONTEND and message.connection == 1
        else Deed.PASS
    )


def at_answer(deed: Deed) -> Rule:
    """Do this to the end of the answer to COMMIT."""
    return lambda message: deed if message.answers_commit else Deed.PASS


def is_whole(site: Site, generation: int) -> bool:
    """Return whether the database is as this generation left it: state, history and live."""
    rows = site.database.rows("""
        SELECT generation, (SELECT max(generation) FROM rollout_generation) AS newest,
            (SELECT max((metadata ->> 'generation')::integer) FROM rollout_history) AS told,
            (SELECT count(*)::integer FROM rollout_history) AS history
        FROM rollout_state
    """)
    return (
        set(rows[0].values()) == {generation}
        and percentage(site) == {1: 10, 2: 12}[generation]
        and live_state(site.database) == replayed_state(site.database)
    )


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(at(LOCK, Deed.CUT_AFTER), id="at the lock"),
        pytest.param(at(GENERATION, Deed.CUT_BEFORE), id="before the generation"),
        pytest.param(at(COMMIT, Deed.CUT_BEFORE), id="before COMMIT"),
        pytest.param(at_answer(Deed.CUT_BEFORE), id="before the answer to COMMIT"),
    ],
)
def test_after_one_cut_an_apply_succeeds_once(merged: Site, rule: Rule) -> None:
    with FaultProxy(merged.database, rule) as proxy:
        done = through(proxy, merged).reconcile()

    assert (done.exit_code, done.stderr) == (0, "")
    assert is_whole(merged, 2)


def cut_for_good(site: Site, rule: Rule) -> Completed:
    with FaultProxy(site.database, rule) as proxy:
        proxy.accepts = lambda connection: connection == 1
        return through(proxy, site).reconcile()


def test_a_cut_before_commit_is_reported_as_nothing_written(merged: Site) -> None:
    done = cut_for_good(merged, at(GENERATION, Deed.CUT_AFTER))

    assert (done.exit_code, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "nothing was written" in done.stderr
    assert done.stderr.endswith("try again\n")
    assert is_whole(merged, 1)


def test_a_cut_before_the_answer_to_commit_names_where_to_look(
    merged: Site,
) -> None:
    done = cut_for_good(merged, at_answer(Deed.CUT_BEFORE))

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "error: the connection was lost during COMMIT, and the database does not answer; "
        "see `reconcile history` for the outcome before you try again\n"
    )
    assert "10 → 12" in merged.reconcile("history").stdout
    assert is_whole(merged, 2)


def test_a_cut_after_the_answer_to_commit_is_a_success(merged: Site) -> None:
    def hang_up(message: Message) -> Deed:
        return Deed.CUT_BEFORE if message.kind == b"X" else Deed.PASS

    done = cut_for_good(merged, hang_up)

    assert (done.exit_code, done.stderr) == (0, "")
    assert is_whole(merged, 2)


# Killed


def kill(process: Popen[str]) -> None:
    process.kill()
    process.communicate()


def locks(database: Database, *, granted: bool) -> Callable[[], bool]:
    """Return whether a session holds the lock of an apply, or waits for it."""
    return lambda: database.value(
        "SELECT count(*) > 0 FROM pg_locks AS of_row JOIN pg_locks AS of_transaction USING (pid)"
        " WHERE of_row.relation = 'rollout_lock'::regclass"
        " AND of_transaction.locktype = 'transactionid' AND of_transaction.granted = %(granted)s",
        granted=granted,
    )


@contextmanager
def held(site: Site, rule: Rule) -> Iterator[Popen[str]]:
    """A program whose connection is open but silent after a message."""
    with FaultProxy(site.database, rule) as proxy:
        process = through(proxy, site).start()
        eventually(proxy.holding.is_set)
        yield process


@pytest.mark.parametrize("text", [GENERATION, COMMIT])
def test_an_apply_killed_with_the_lock_leaves_nothing(merged: Site, text: str) -> None:
    with held(merged, at(text, Deed.HOLD)) as process:
        assert locks(merged.database, granted=True)()
        kill(process)
        # The only thing to wait for is that the connection is lost.
        eventually(lambda: not locks(merged.database, granted=True)())
        assert is_whole(merged, 1)
        done = merged.reconcile()

    assert (done.exit_code, done.stderr) == (0, "")
    assert is_whole(merged, 2)


def test_an_apply_killed_during_a_statement_leaves_nothing(merged: Site) -> None:
    with merged.database.connect() as other:
        other.execute("LOCK TABLE rollout_generation IN EXCLUSIVE MODE")
        process = merged.start()
        eventually(
            lambda: merged.database.value(
                "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            )
        )
        kill(process)
    done = merged.reconcile()

    assert (done.exit_code, done.stderr) == (0, "")
    assert is_whole(merged, 2)


def test_an_apply_killed_before_the_lock_leaves_nothing(merged: Site) -> None:
    with merged.database.connect() as other:
        other.execute("SELECT FROM rollout_lock FOR UPDATE")
        process = merged.start()
        eventually(locks(merged.database, granted=False))
        kill(process)
    assert is_whole(merged, 1)
    done = merged.reconcile()

    assert (done.exit_code, done.stderr) == (0, "")
    assert is_whole(merged, 2)


def test_an_apply_killed_after_commit_is_complete(merged: Site) -> None:
    with held(merged, at_answer(Deed.HOLD)) as process:
        kill(process)
        done = merged.reconcile()

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.endswith("the live state matches the file.\n")
    assert is_whole(merged, 2)
