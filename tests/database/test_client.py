"""The client: it answers from memory like the database, with the newest answer and no wrong yes."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from reconciler.database import schema
from reconciler.database.roles import apply_roles
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.errors import SetupInvalid
from rollout_client import ClientRule, RolloutClient, follower
from rollout_client.connection import connect
from rollout_client.reads import Features, read_everything, read_features
from rollout_client.repositories import NO_REPOSITORIES, Repositories
from rollout_client.targeting.eligibility import Rule
from tests.builders import RepositoryRow, add_repositories
from tests.database.hosts import make_host
from tests.eventually import DEADLINE_SECONDS, eventually
from tests.postgres import Database

ACME = "10000000-0000-4000-8000-000000000001"
OTHER = "20000000-0000-4000-8000-000000000002"
NOBODY = "30000000-0000-4000-8000-000000000003"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def load(database: Database, **configuration: Any) -> None:
    add_repositories(
        database, RepositoryRow("Acme/Site", id=ACME), RepositoryRow("other/tools", id=OTHER)
    )
    add_feature(database, "f", **{"rollout_percentage": 100, **configuration})


def add_feature(database: Database, name: str, **configuration: Any) -> None:
    columns = {"feature_name": name, **configuration}
    database.execute(
        f"INSERT INTO rollout_configuration ({', '.join(columns)})"
        f" VALUES ({', '.join(f'%({column})s' for column in columns)})",
        **columns,
    )


def change(database: Database, assignment: str) -> None:
    database.execute(f"UPDATE rollout_configuration SET {assignment}, updated_at = now()")


@contextmanager
def following(database: Database, **settings: Any) -> Iterator[RolloutClient]:
    with RolloutClient(database.url, **settings) as client:
        eventually(lambda: client.status().age is not None)
        yield client


def test_the_client_answers_by_id_and_by_name_in_any_case(database: Database) -> None:
    load(database, rollout_percentage=0, target_repositories=["acme/*"])

    with following(database) as client:
        assert [
            client.is_eligible(asked, "f")
            for asked in (ACME, ACME.upper(), UUID(ACME), "acme/site", "ACME/SITE")
        ] == [True] * 5
        assert [
            client.is_eligible(asked, "f")
            for asked in (OTHER, "other/tools", NOBODY, "acme/unknown", "", "acme", "x" * 36)
        ] == [False] * 7
        assert list(client.eligible("f")) == [ACME]
        assert client.explain(NOBODY, "f").rule is Rule.UNKNOWN_REPOSITORY
        assert client.explain(ACME, "g").rule is Rule.UNKNOWN_FEATURE


def test_a_stop_reaches_the_client_by_notification(database: Database) -> None:
    load(database)
    with following(
        database, poll_every=timedelta(hours=1), max_staleness=timedelta(days=1)
    ) as client:
        assert client.is_eligible(ACME, "f")

        change(database, "emergency_stop = true")

        eventually(lambda: not client.is_eligible(ACME, "f"))
        assert client.explain(ACME, "f").rule is Rule.EMERGENCY_STOP


def test_a_flood_of_notifications_causes_few_reads_and_delays_no_stop(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(database)
    reads: list[float] = []

    def count(*arguments: Any) -> Features:
        reads.append(time.monotonic())
        return read_features(*arguments)

    monkeypatch.setattr(follower, "read_features", count)
    flooding = threading.Event()

    def flood() -> None:
        with database.connect(autocommit=True) as connection:
            while not flooding.is_set():
                connection.execute("SELECT pg_notify('rollout_changed', 'x' || random())")

    with following(database) as client:
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            first = len(reads)
            eventually(lambda: len(reads) >= first + 20)
            change(database, "emergency_stop = true")
            eventually(lambda: not client.is_eligible(ACME, "f"))
        finally:
            flooding.set()
            thread.join()

    # 19 intervals of a tenth of a second, on a machine that may have been busy at the first read.
    assert reads[first + 19] - reads[first] >= 1.5


def test_a_stop_without_notification_reaches_the_client_by_polling(database: Database) -> None:
    load(database)
    database.execute(
        "ALTER TABLE rollout_configuration DISABLE TRIGGER notify_configuration_updated"
    )
    with following(database, poll_every=timedelta(milliseconds=100)) as client:
        assert client.is_eligible(ACME, "f")

        change(database, "emergency_stop = true")

        eventually(lambda: not client.is_eligible(ACME, "f"))


def test_the_client_polls_if_listen_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    load(database)
    monkeypatch.setattr("rollout_client.notifications.LISTEN", b"LISTEN 'refused'")
    with following(database, poll_every=timedelta(milliseconds=100)) as client:
        change(database, "emergency_stop = true")
        eventually(lambda: not client.is_eligible(ACME, "f"))
    assert "changes are polled for" in caplog.text


@pytest.mark.parametrize(
    "payload", ["", "nonsense", "[" * 7000, "7", '{"table": []}', '{"feature": 1}']
)
def test_an_unexpected_notification_does_no_harm(database: Database, payload: str) -> None:
    load(database)
    with following(
        database, poll_every=timedelta(hours=1), max_staleness=timedelta(days=1)
    ) as client:
        database.execute("SELECT pg_notify('rollout_changed', %(payload)s)", payload=payload)
        change(database, "emergency_stop = true")
        eventually(lambda: not client.is_eligible(ACME, "f"))


def test_answers_the_database_does_not_confirm_become_stale(database: Database) -> None:
    load(database)
    clock = Clock()
    with following(database, clock=clock, max_staleness=timedelta(minutes=5)) as client:
        assert client.is_eligible(ACME, "f")

    # It does not follow any more, as if the database were gone.
    clock.now += 299
    assert client.is_eligible(ACME, "f")
    assert list(client.eligible("f")) == [ACME, OTHER]
    clock.now += 1
    assert not client.is_eligible(ACME, "f")
    assert list(client.eligible("f")) == []
    answer = client.explain(ACME, "f")
    assert (answer.eligible, answer.rule) == (False, ClientRule.STALE)
    assert answer.reason == ("stale: the database last confirmed what is known 300 seconds ago")
    assert client.status().is_stale


def test_stale_data_is_read_again_as_soon_as_the_machine_wakes(database: Database) -> None:
    load(database)
    clock = Clock()
    with following(database, clock=clock, poll_every=timedelta(milliseconds=50)) as client:
        # At first, an answer to the request of the start may still arrive.
        for _ in range(2):
            clock.now += timedelta(hours=8).total_seconds()
            eventually(lambda: not client.status().is_stale)
            assert client.is_eligible(ACME, "f")


def test_the_environment_stop_takes_precedence(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(database)
    monkeypatch.setenv("ROLLOUT_EMERGENCY_STOP", "f")
    clock = Clock()

    with following(database, clock=clock) as client:
        assert client.explain(ACME, "f").rule is Rule.ENVIRONMENT_STOP
        assert not client.is_eligible(ACME, "f")
    clock.now += 10_000

    assert client.explain(ACME, "f").rule is Rule.ENVIRONMENT_STOP
    assert client.explain(ACME, "g").rule is ClientRule.STALE


def test_a_percentage_lowered_in_a_running_environment_applies(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(database, target_repositories=[OTHER])
    with following(database, poll_every=timedelta(milliseconds=50)) as client:
        assert client.is_eligible(ACME, "f")

        monkeypatch.setenv("ROLLOUT_PERCENTAGE", "0")

        eventually(lambda: not client.is_eligible(ACME, "f"))
        assert client.is_eligible(OTHER, "f")


def test_only_followed_features_are_known(database: Database) -> None:
    load(database)
    add_feature(database, "g", rollout_percentage=100)

    with following(database, features=["f"]) as client:
        assert client.status().features == ("f",)
        assert client.is_eligible(ACME, "f")
        assert client.explain(ACME, "g").rule is Rule.UNKNOWN_FEATURE


def test_categories_are_read_as_soon_as_a_strategy_needs_them(database: Database) -> None:
    load(database)
    with following(database) as client:
        assert client.explain(ACME, "f").category is None

        change(database, "rollout_strategy = 'repository_size', rollout_percentage = 10")

        # Without stars and contributors it is a test repository.
        eventually(lambda: client.is_eligible(ACME, "f"))
        database.execute(
            "INSERT INTO repository_categories (repository_id, category)"
            f" VALUES ('{ACME}', 'enterprise')"
        )
        eventually(lambda: not client.is_eligible(ACME, "f"))
        database.execute("UPDATE repository_categories SET marked_as_test = true")
        eventually(lambda: client.is_eligible(ACME, "f"))


@pytest.mark.parametrize(
    ("moving", "is_seen"),
    [
        ("UPDATE repositories SET full_name = full_name", False),
        ("UPDATE repositories SET full_name = 'acme/moved' WHERE id = '{acme}'", True),
        (
            "UPDATE repositories SET full_name = 'a/b' WHERE id = '{acme}';"
            "UPDATE repositories SET full_name = 'Acme/Site' WHERE id = '{other}';"
            "UPDATE repositories SET full_name = 'other/tools' WHERE id = '{acme}'",
            True,
        ),
        ("DELETE FROM repositories WHERE id = '{acme}'", True),
        (
            "INSERT INTO repositories (id, owner, name, full_name)"
            " VALUES ('{nobody}', 'new', 'one', 'new/one')",
            True,
        ),
        ("UPDATE repository_categories SET category = 'large'", True),
        ("UPDATE repository_categories SET marked_as_test = true", True),
        ("DELETE FROM repository_categories", True),
        ("UPDATE category_threshold SET stars = 7 WHERE category = 'small'", True),
        ("UPDATE repositories SET stargazers_count = 7 WHERE id = '{acme}'", False),
        ("UPDATE repositories SET stargazers_count = 7 WHERE id = '{other}'", True),
    ],
)
def test_any_change_of_a_repository_changes_the_fingerprint(
    database: Database, moving: str, is_seen: bool
) -> None:
    load(database, rollout_strategy="repository_size")
    database.execute(
        f"INSERT INTO repository_categories (repository_id, category) VALUES ('{ACME}', 'small')"
    )

    def read(known: Repositories, *, pages: bool) -> tuple[Features, Repositories] | None:
        with closing(connect(database.address, patience=DEADLINE_SECONDS)) as connection:
            return read_everything(connection, None, {}, known, pages=pages)

    first = read(NO_REPOSITORIES, pages=True)
    assert first is not None

    database.execute(moving.format(acme=ACME, other=OTHER, nobody=NOBODY))

    again = read(first[1], pages=False)
    if is_seen:
        assert again is None
    else:
        assert again is not None
        assert again[1] is first[1]


def test_a_feature_change_does_not_wait_for_repositories_to_be_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rests long after a long read, as with a million repositories."""
    load(database, rollout_percentage=0)
    monkeypatch.setattr("rollout_client.follower.REST_FOR_WORK", 1_000_000)
    with following(database) as client:
        assert not client.is_eligible(ACME, "f")

        change(database, "rollout_percentage = 100")

        eventually(lambda: client.is_eligible(ACME, "f"))


def test_a_yes_needs_features_and_repositories_of_one_moment(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository that left an owner is not eligible when that owner is listed after."""
    # On a busy machine a read takes long; a rest of five times as long is not part of this test.
    monkeypatch.setattr("rollout_client.follower.REST_FOR_WORK", 0)
    load(database, rollout_percentage=0)
    answers = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.0005):
            answers.append(client.is_eligible(ACME, "f"))

    def rename(name: str) -> None:
        database.execute(f"UPDATE repositories SET full_name = '{name}' WHERE id = '{ACME}'")

    with following(database) as client:
        asking = threading.Thread(target=ask)
        asking.start()
        for number in range(5):
            rename(f"away/{number}")
            change(database, "target_repositories = '{acme/*}'")
            wait_for_name(client, f"away/{number}")
            change(database, "target_repositories = '{}'")
            rename("Acme/Site")
            change(database, "rollout_percentage = 0")
            wait_for_name(client, "acme/site")
        stop.set()
        asking.join()

    assert answers
    assert not any(answers)


def wait_for_name(client: RolloutClient, name: str) -> None:
    eventually(lambda: client.explain(name, "f").rule is not Rule.UNKNOWN_REPOSITORY)


def test_a_stop_survives_a_database_restored_to_an_earlier_state(database: Database) -> None:
    load(database)
    with following(database) as client:
        assert client.is_eligible(ACME, "f")
        change(database, "emergency_stop = true")
        eventually(lambda: not client.is_eligible(ACME, "f"))

        database.execute("DELETE FROM rollout_configuration")
        eventually(lambda: client.explain(ACME, "f").rule is Rule.UNKNOWN_FEATURE)
        add_feature(database, "f", rollout_percentage=100, updated_at="2026-01-01")
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'reconcile-client'"
        )
        eventually(lambda: client.explain(ACME, "f").rule is Rule.EMERGENCY_STOP)

        change(database, "emergency_stop = false")
        eventually(lambda: client.is_eligible(ACME, "f"))


def test_a_stop_dated_in_the_future_can_be_lifted(database: Database) -> None:
    load(database)
    with following(database) as client:
        database.execute(
            "UPDATE rollout_configuration SET emergency_stop = true, updated_at = '2999-01-01'"
        )
        eventually(lambda: client.explain(ACME, "f").rule is Rule.EMERGENCY_STOP)

        change(database, "emergency_stop = false")
        eventually(lambda: client.is_eligible(ACME, "f"))


def test_a_worker_role_is_enough_and_its_connections_are_two_at_most(database: Database) -> None:
    load(database, rollout_strategy="repository_size")
    apply_roles(OpenedDatabase.at(database.address))
    worker = Database(f"{database.url}&options=-c%20role%3Drollout_worker")

    with following(worker) as client:
        assert client.is_eligible(ACME, "f")
        assert client.status().failure is None
        count = database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reconcile-client'"
            " AND datname = current_database()"
        )
        assert count <= 2


def test_a_worker_under_row_security_gets_the_answers_of_sql(
    empty_database: Database,
) -> None:
    make_host(empty_database)
    schema.upgrade(empty_database.engine)
    apply_roles(OpenedDatabase.at(empty_database.address))
    worker = Database(f"{empty_database.url}&options=-c%20role%3Drollout_worker")
    change(
        empty_database,
        "rollout_strategy = 'repository_size', rollout_percentage = 50, is_active = true,"
        " emergency_stop = false",
    )
    expected = worker.rows(
        "SELECT repositories.id, feature_name,"
        " is_repository_eligible_for_rollout(repositories.id, feature_name) AS eligible"
        " FROM repositories, rollout_configuration"
    )

    with following(worker) as client:
        answers = [client.is_eligible(row["id"], row["feature_name"]) for row in expected]

    assert answers == [row["eligible"] for row in expected]
    assert True in answers
    assert False in answers


def test_without_a_database_the_answer_is_no_and_shows_no_secret() -> None:
    client = RolloutClient("postgresql://worker:s3cret@127.0.0.1:1/nowhere")
    try:
        assert not client.is_eligible(ACME, "f")
        assert client.explain(ACME, "f").reason == "stale: nothing was read from the database yet"
        assert not client.wait_until_ready(timedelta(milliseconds=50))
        eventually(lambda: client.status().failure is not None)
        failure = client.status().failure
        assert failure is not None
        assert "\n" not in failure
        assert "s3cret" not in failure
        assert "s3cret" not in repr(client)
    finally:
        client.close()


def test_invalid_arguments_are_refused_at_once() -> None:
    with pytest.raises(SetupInvalid):
        RolloutClient("nowhere")
    with pytest.raises(ValueError, match="above zero"):
        RolloutClient("postgresql:///x", max_staleness=timedelta(0))


def test_a_new_repository_is_known_soon_after_a_query_for_it(database: Database) -> None:
    load(database)
    clock = Clock()
    with following(database, clock=clock) as client:
        add_repositories(database, RepositoryRow("new/one", id=NOBODY))
        clock.now += 11  # not earlier, because it may also be unrelated

        eventually(lambda: client.is_eligible(NOBODY, "f"))


def test_on_change_receives_the_changed_features(database: Database) -> None:
    load(database)
    add_feature(database, "g", rollout_percentage=100)
    told: list[frozenset[str]] = []
    with following(database, on_change=told.append) as client:
        eventually(lambda: client.is_eligible(ACME, "f") and client.is_eligible(ACME, "g"))
        database.execute(
            "UPDATE rollout_configuration SET is_active = false WHERE feature_name = 'g'"
        )
        eventually(lambda: told[-1:] == [{"g"}])


def test_an_on_change_that_raises_does_no_harm(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_features: frozenset[str]) -> None:
        raise RuntimeError("not now")

    load(database)
    with following(database, on_change=fail) as client:
        change(database, "emergency_stop = true")
        eventually(lambda: not client.is_eligible(ACME, "f"))
        assert client.status().failure is None
    assert "not now" in caplog.text


def test_random_queries_during_reloads_never_fail(database: Database) -> None:
    load(database)
    chance = random.Random(9)
    failures: list[BaseException] = []
    with following(database) as client:
        stop = threading.Event()

        def ask() -> None:
            try:
                while not stop.is_set():
                    client.is_eligible(chance.choice([ACME, OTHER, "acme/site", NOBODY]), "f")
                    list(client.eligible("f"))
            except BaseException as error:  # noqa: BLE001 - shown by the test
                failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for percentage in range(10):
            change(database, f"rollout_percentage = {percentage}")
        stop.set()
        for thread in threads:
            thread.join()

    assert not failures
