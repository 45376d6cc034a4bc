"""The jobs of a client: their processor, their recording, and their effect on its circuit."""

import logging
import re
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from reconciler.database.address import DatabaseAddress
from reconciler.database.roles import apply_roles
from reconciler.database.transactions import Database as OpenedDatabase
from rollout_client import CircuitSettings, CircuitState, ClientRule, Job, RolloutClient, Routing
from rollout_client.outcome import Outcome
from rollout_client.recorder import Recorder
from tests.database.proxy import Proxy, Verdict
from tests.database.test_client import ACME, NOBODY, OTHER, Clock, following, load
from tests.eventually import DEADLINE_SECONDS, eventually
from tests.postgres import Database


def recorded(database: Database) -> list[tuple[Any, ...]]:
    """Return jobs, errors and the last error by repository and processor."""
    # Where two sessions record at once, such as before and after a lost connection, a merge puts some of
    # their jobs into the table.
    database.value("SELECT merge_rollout_rollup(100000)")
    rows = database.rows(
        "SELECT repository_id::text, processor_type, sum(total_jobs)::integer AS jobs,"
        " sum(error_count)::integer AS errors, max(last_error_message) FROM rollout_metrics"
        " GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return [tuple(row.values()) for row in rows]


def test_recorded_outcomes_are_stored_when_the_client_is_closed(database: Database) -> None:
    load(database)
    apply_roles(OpenedDatabase.at(database.address))
    worker = Database(f"{database.url}&options=-c%20role%3Drollout_worker")
    with following(worker) as client:
        for number in range(1_200):
            client.record(ACME, "f", "github_actions", succeeded=number % 10 != 0, seconds=1.5)
        client.record(
            "other/tools", "f", "inngest", succeeded=False, error="no\0thing\nworked\ud800"
        )

    assert recorded(database) == [
        (ACME, "github_actions", 1200, 120, None),
        (OTHER, "inngest", 1, 1, "no thing\nworked?"),
    ]
    assert client.status().waiting == 0
    assert database.value("SELECT max(average_processing_time) FROM rollout_metrics") == 1.5


def test_outcomes_of_unknown_features_and_repositories_are_counted(database: Database) -> None:
    load(database)
    with following(database) as client:
        client.record(ACME, "f", "inngest", succeeded=True)
        client.record(NOBODY, "f", "inngest", succeeded=True)
        client.record(ACME, "nothing", "inngest", succeeded=True)
        assert not client.record("nobody/knows", "f", "inngest", succeeded=True)

    assert recorded(database) == [(ACME, "inngest", 1, 0, None)]
    assert client.status().refused == 3


def test_a_client_that_only_records_resolves_names(database: Database) -> None:
    load(database)
    client = RolloutClient(database.url)
    try:
        eventually(lambda: client.record("acme/site", "f", "inngest", succeeded=True))
    finally:
        client.close()

    assert recorded(database) == [(ACME, "inngest", 1, 0, None)]


def test_a_refused_outcome_does_not_affect_other_outcomes(database: Database) -> None:
    load(database)
    database.execute("ALTER TABLE rollout_metrics ADD CHECK (processor_type <> 'bad')")
    with following(database) as client:
        for _ in range(10):
            client.record(ACME, "f", "inngest", succeeded=True)
        client.record(ACME, "f", "bad", succeeded=True)
        for _ in range(10):
            client.record(ACME, "f", "inngest", succeeded=True)

    assert recorded(database) == [(ACME, "inngest", 20, 0, None)]
    assert client.status().refused == 1


def test_an_invalid_outcome_is_refused_by_the_caller(database: Database) -> None:
    load(database)
    with following(database) as client:
        for processor, seconds in (
            ("", 1.0),
            ("x" * 51, 1.0),
            ("a\0", 1.0),
            ("a", -1.0),
            ("a", float("nan")),
        ):
            with pytest.raises(ValueError, match="must be"):
                client.record(ACME, "f", processor, succeeded=True, seconds=seconds)


def test_a_full_queue_drops_the_newest_and_logs_the_count(
    caplog: pytest.LogCaptureFixture, database: Database
) -> None:
    load(database)
    gate = database.connect()
    gate.execute("LOCK TABLE rollout_metrics")
    with following(database, queue_length=10) as client:
        taken = [client.record(ACME, "f", "inngest", succeeded=True) for _ in range(25)]
        assert taken == [True] * 10 + [False] * 15
        assert client.status().dropped == 15
        gate.rollback()
    gate.close()

    assert recorded(database) == [(ACME, "inngest", 10, 0, None)]
    assert "15 outcomes were not recorded: 15 because the queue is full" in caplog.messages


def test_a_close_that_gives_up_logs_how_many_it_dropped(
    caplog: pytest.LogCaptureFixture, database: Database
) -> None:
    load(database)
    recorder = Recorder(database.address, 10_000)
    with database.connect() as gate:
        gate.execute("LOCK TABLE rollout_metrics, rollout_metrics_rollup")
        for _ in range(3):
            recorder.put(Outcome("f", ACME, "inngest", succeeded=True))
        recorder.close(0.2)

    assert (recorder.waiting, recorder.dropped) == (0, 3)
    assert "3 outcomes were not recorded: 3 because too little time" in caplog.messages


@pytest.mark.parametrize("is_forwarded", [True, False])
def test_a_commit_without_answer_counts_each_outcome_once(
    database: Database, is_forwarded: bool
) -> None:
    load(database)
    cuts = 0

    def cut_commit(sent: bytes) -> Verdict:
        nonlocal cuts
        if b"COMMIT" not in sent or cuts == 3:
            return Verdict.FORWARD
        cuts += 1
        return Verdict.FORWARD_AND_CUT if is_forwarded else Verdict.CUT

    with Proxy(database, cut_commit) as proxy:
        recorder = Recorder(DatabaseAddress.parse(proxy.url), 100)
        for _ in range(20):
            recorder.put(Outcome("f", ACME, "inngest", succeeded=True))
        recorder.close(30)

    assert cuts == (1 if is_forwarded else 3)
    assert (recorder.waiting, recorder.dropped) == (0, 0)
    assert recorded(database) == [(ACME, "inngest", 20, 0, None)]


def test_each_outcome_counts_once_however_a_connection_is_lost(database: Database) -> None:
    """Its server process is killed repeatedly while outcomes are written."""
    load(database)
    with following(database) as client:
        for number in range(300):
            client.record(ACME, "f", "inngest", succeeded=True)
            if number % 100 == 0:
                database.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                    " application_name = 'reconcile-client' AND datname = current_database()"
                )
    assert recorded(database) == [(ACME, "inngest", 300, 0, None)]


def test_a_circuit_opens_at_the_job_that_trips_it_and_closes_by_a_probe(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    load(database)
    clock = Clock()
    settings = CircuitSettings(min_jobs=5, rest=timedelta(seconds=30))
    caplog.set_level(logging.WARNING)
    with following(database, clock=clock, circuit=settings) as client:
        job = Job("f")
        assert client.route(ACME, job).processor == "github_actions"
        for _ in range(5):
            assert client.is_eligible(ACME, "f")
            client.record(ACME, "f", "github_actions", succeeded=False)

        assert not client.is_eligible(ACME, "f")
        assert client.route(ACME, job).processor == "inngest"
        answer = client.explain(ACME, "f")
        assert (answer.eligible, answer.rule) == (False, ClientRule.CIRCUIT_OPEN)
        assert client.status().circuits == {"f": CircuitState.OPEN}
        assert list(client.eligible("f")) == []
        assert "feature 'f': the circuit is open in this process" in caplog.messages

        clock.now += 30
        assert client.route(ACME, job).processor == "github_actions"
        assert client.route(ACME, job).processor == "inngest"
        client.record(ACME, "f", "github_actions", succeeded=True)
        assert client.is_eligible(ACME, "f")
        assert client.status().circuits == {}


def test_jobs_of_the_fallback_do_not_count_in_the_circuit(database: Database) -> None:
    load(database)
    routing = {"f": Routing(processor="new", fallback="old")}
    settings = CircuitSettings(min_jobs=1)
    with following(database, routing=routing, circuit=settings) as client:
        client.record(ACME, "f", "old", succeeded=False)
        assert client.is_eligible(ACME, "f")
        client.record(ACME, "f", "new", succeeded=False)
        assert not client.is_eligible(ACME, "f")


def test_jobs_go_to_the_processors_that_the_database_names(database: Database) -> None:
    load(database)
    database.execute("UPDATE rollout_configuration SET processor = 'new', fallback = 'old'")
    with following(database) as client:
        assert client.route(ACME, Job("f")).processor == "new"
        assert client.route("no/one", Job("f")).processor == "old"

    routing = {"f": Routing(processor="newer")}
    with following(database, routing=routing) as client:
        assert client.route(ACME, Job("f")).processor == "newer"


def test_an_outcome_accepted_during_close_is_written(database: Database) -> None:
    load(database)
    recorder = Recorder(database.address, 10_000)
    taken = 0
    closing = threading.Thread(target=recorder.close, args=(DEADLINE_SECONDS,))
    while recorder.put(Outcome("f", ACME, "inngest", succeeded=True)):
        taken += 1
        if taken == 50:
            closing.start()
    closing.join()

    assert (recorder.waiting, recorder.dropped) == (0, 1)
    assert recorded(database) == [(ACME, "inngest", taken, 0, None)]


AT_COMMIT = """
CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT OR UPDATE ON rollout_metrics
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit();
"""


def test_nothing_is_written_while_a_commit_is_in_doubt(database: Database) -> None:
    """Its connection is cut, and its transaction continues."""
    load(database)
    database.execute(AT_COMMIT.format("PERFORM pg_advisory_xact_lock(7);"))
    gate = database.connect()
    gate.execute("SELECT pg_advisory_lock(7)")
    gate.commit()
    questions: list[bytes] = []

    def cut_first_commit(sent: bytes) -> Verdict:
        questions.append(sent)
        is_first = sum(b"COMMIT" in each for each in questions) == 1
        return Verdict.FORWARD_AND_CUT if b"COMMIT" in sent and is_first else Verdict.FORWARD

    with Proxy(database, cut_first_commit) as proxy:
        recorder = Recorder(DatabaseAddress.parse(proxy.url), 100)
        for repository in (ACME, OTHER):
            recorder.put(Outcome("f", repository, "inngest", succeeded=True))
            if repository == ACME:
                eventually(lambda: any(b"COMMIT" in each for each in questions))
        eventually(lambda: sum(b"claim_rollout_write" in each for each in questions) >= 2)
        eventually(
            lambda: (
                database.value(
                    "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'claim_rollout_write'"
                    " AND wait_event_type = 'Lock' AND datname = current_database()"
                )
                > 0
            )
        )
        gate.close()
        recorder.close(30)

    assert (recorder.waiting, recorder.dropped) == (0, 0)
    assert recorded(database) == [(ACME, "inngest", 1, 0, None), (OTHER, "inngest", 1, 0, None)]


def test_an_outcome_refused_at_commit_does_not_affect_others(database: Database) -> None:
    load(database)
    database.execute(
        AT_COMMIT.format("IF NEW.processor_type = 'bad' THEN RAISE 'not this one'; END IF;")
    )
    recorder = Recorder(database.address, 100)
    for processor in ("inngest", "bad"):
        recorder.put(Outcome("f", ACME, processor, succeeded=True))
    eventually(lambda: recorder.refused == 1)
    recorder.put(Outcome("f", ACME, "inngest", succeeded=True))
    recorder.close(30)

    assert (recorder.waiting, recorder.refused, recorder.dropped) == (0, 1, 0)
    assert recorded(database) == [(ACME, "inngest", 2, 0, None)]


@pytest.mark.parametrize("succeeded", [True, False, 1, 0, 1.0, Decimal(0)])
def test_what_equals_true_or_false_is_recorded_as_that(database: Database, succeeded: Any) -> None:
    load(database)
    with following(database) as client:
        assert client.record(ACME, "f", "inngest", succeeded=succeeded)
    assert recorded(database) == [(ACME, "inngest", 1, 0 if succeeded else 1, None)]


@pytest.mark.parametrize("succeeded", [re.match("a", "a"), None, "yes", 2, [True], float("nan")])
def test_what_is_neither_true_nor_false_is_refused_and_holds_no_other(
    database: Database, succeeded: Any
) -> None:
    load(database)
    with following(database) as client:
        with pytest.raises(ValueError, match="it must be True or False"):
            client.record(ACME, "f", "inngest", succeeded=succeeded)
        assert client.record(ACME, "f", "inngest", succeeded=True, wait=True)
        assert client.status().waiting == 0


def test_an_outcome_may_have_a_timedelta_and_an_exception(database: Database) -> None:
    load(database)
    with following(database) as client:
        client.record(ACME, "f", "inngest", succeeded=True, seconds=timedelta(seconds=2))
        client.record(ACME, "f", "inngest", succeeded=False, seconds=2, error=KeyError("no"))
    assert recorded(database) == [(ACME, "inngest", 2, 1, "'no'")]
    assert database.value("SELECT max(average_processing_time) FROM rollout_metrics") == 2


def test_the_log_has_why_outcomes_were_not_recorded(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    load(database)
    with following(database) as client:
        client.record(ACME, "no_feature", "inngest", succeeded=True)
        client.record("not/known", "f", "inngest", succeeded=True)
    logged = " ".join(each for each in caplog.messages if "were not recorded" in each)
    assert "1 because the database does not have their feature or repository" in logged
    assert "1 because no repository of this name is known" in logged


def test_kind_and_size_of_a_job_are_recorded(database: Database) -> None:
    load(database)
    with following(database) as client:
        for succeeded in (True, False):
            job = Job("f", kind="pull_requests", size=120)
            client.record(ACME, job, "github_actions", succeeded=succeeded, seconds=1.5)
        client.record(ACME, Job("f"), "github_actions", succeeded=True)
        client.record(NOBODY, Job("f", kind="issues"), "github_actions", succeeded=True)

    assert database.rows(
        "SELECT job_kind, size_class, sum(total_jobs)::integer AS jobs,"
        " sum(error_count)::integer AS errors FROM rollout_metrics GROUP BY 1, 2 ORDER BY 1"
    ) == [
        {"job_kind": "", "size_class": 0, "jobs": 1, "errors": 0},
        {"job_kind": "pull_requests", "size_class": 3, "jobs": 2, "errors": 1},
    ]
    assert client.status().refused == 1


@pytest.mark.parametrize("job", [Job("f", kind="k" * 51), Job("f", kind="\0"), Job("f", size=-1)])
def test_a_job_that_cannot_be_recorded_is_refused_at_once(job: Job) -> None:
    with pytest.raises(ValueError, match="of a job"):
        Outcome.checked(job, ACME, "github_actions", succeeded=True)
