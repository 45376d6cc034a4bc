"""Which events reach the outbox, their causes, and the receivers that get them."""

from decimal import Decimal

import psycopg
import pytest

from reconciler.database.transactions import Database as OpenDatabase
from reconciler.operations import reconcile, safeguard
from reconciler.operations.reconcile import Permission, read_source
from reconciler.planning.application import Application
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.rollout_file import read_rollout_file
from tests.builders import add_repositories, rollout_file
from tests.notifications import add_feature, add_target, events
from tests.postgres import Database
from tests.site import Site
from tests.writing_back import apply_file


@pytest.fixture
def outbox(database: Database) -> Database:
    """A database with a feature at half and a receiver of everything."""
    add_feature(database)
    add_target(database, "all", "webhook")
    return database


def opened(database: Database) -> OpenDatabase:
    return OpenDatabase.at(database.address)


def incidents(database: Database) -> list[str]:
    rows = database.rows("SELECT dedup_key FROM rollout_notification ORDER BY position")
    return [row["dedup_key"] for row in rows]


def test_acts_of_the_safeguard_are_events(outbox: Database) -> None:
    safeguard.roll_back(opened(outbox), "capture", Decimal(10), by="ada", reason="jobs fail")
    safeguard.resume(opened(outbox), "capture", by="ada", reason="mended")
    safeguard.stop(opened(outbox), "capture", by="ada", reason="jobs fail")
    safeguard.resume(opened(outbox), "capture", by="ada", reason="mended")
    assert events(outbox) == [
        ("rolled_back", "capture"),
        ("resumed", "capture"),
        ("stopped", "capture"),
        ("resumed", "capture"),
    ]
    first, ended, second, ended_too = incidents(outbox)
    assert (first, second) == (ended, ended_too)
    assert first != second


def test_a_narrower_limit_continues_the_incident(outbox: Database) -> None:
    safeguard.roll_back(opened(outbox), "capture", Decimal(10), by="ada", reason="jobs fail")
    safeguard.stop(opened(outbox), "capture", by="ada", reason="they fail on")
    safeguard.resume(opened(outbox), "capture", by="ada", reason="mended")
    assert [event for event, _ in events(outbox)] == ["rolled_back", "stopped", "resumed"]
    assert len(set(incidents(outbox))) == 1
    unresolved = "SELECT count(*) FROM rollout_notification WHERE resolved_at IS NULL"
    assert outbox.value(f"{unresolved} AND event <> 'resumed'") == 0


@pytest.mark.parametrize(
    ("statement", "event"),
    [
        ("emergency_stop = true", "stopped"),
        ("rollout_percentage = 10", "rolled_back"),
        ("rollout_percentage = 0, emergency_stop = true", "stopped"),
    ],
)
def test_a_limit_by_hand_is_an_event(outbox: Database, statement: str, event: str) -> None:
    outbox.execute(f"UPDATE rollout_configuration SET {statement}")
    outbox.execute(
        "UPDATE rollout_configuration SET emergency_stop = false, rollout_percentage = 50"
    )
    assert events(outbox) == [(event, "capture"), ("resumed", "capture")]
    assert len(set(incidents(outbox))) == 1


@pytest.mark.parametrize(
    "statement",
    ["rollout_percentage = 60", "updated_at = now()", "is_active = false", "max_error_rate = 3"],
)
def test_other_changes_by_hand_are_no_events(outbox: Database, statement: str) -> None:
    outbox.execute(f"UPDATE rollout_configuration SET {statement}")
    assert events(outbox) == []


def test_a_limit_that_changes_no_percentage_ends_with_an_event(outbox: Database) -> None:
    safeguard.roll_back(opened(outbox), "capture", Decimal(10), by="ada", reason="jobs fail")
    outbox.execute("UPDATE rollout_configuration SET rollout_percentage = 10")
    outbox.execute("UPDATE rollout_override SET state = 'done', updated_at = now()")
    assert [event for event, _ in events(outbox)] == ["rolled_back", "resumed"]


def test_a_stop_succeeds_where_its_notification_cannot_be_written(outbox: Database) -> None:
    outbox.execute("ALTER TABLE rollout_notification ADD CHECK (event <> 'stopped')")
    with outbox.connect() as connection:
        heard: list[str] = []
        connection.add_notice_handler(lambda each: heard.append(each.message_primary or ""))
        connection.execute("UPDATE rollout_configuration SET emergency_stop = true")
        connection.commit()
    assert outbox.value("SELECT emergency_stop FROM rollout_configuration") is True
    assert heard[0].startswith("a notification of capture was not written")


def test_receivers_select_events_severities_and_features(database: Database) -> None:
    add_feature(database)
    add_feature(database, "export")
    add_target(database, "pages", "pagerduty", severities=["page"])
    add_target(database, "export_only", "slack", features=["export"])
    add_target(database, "ends", "slack", events=["resumed"])
    add_target(database, "tickets", "slack", severities=["ticket"])
    database.execute("UPDATE rollout_configuration SET emergency_stop = true")
    database.execute("UPDATE rollout_configuration SET emergency_stop = false")
    assert sorted(events(database, "pages")) == [
        ("resumed", "capture"),
        ("resumed", "export"),
        ("stopped", "capture"),
        ("stopped", "export"),
    ], "a receiver that was paged hears of the end"
    assert sorted(events(database, "export_only")) == [("resumed", "export"), ("stopped", "export")]
    assert sorted(events(database, "ends")) == [("resumed", "capture"), ("resumed", "export")]
    assert events(database, "tickets") == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM rollout_notification",
        "INSERT INTO rollout_notification_target (name, kind) VALUES ('x', 'webhook')",
        "SELECT rollout_notify('stopped', 'capture', 'x', '{}')",
    ],
)
def test_an_account_without_rights_is_kept_out(outbox: Database, statement: str) -> None:
    with outbox.connect() as connection:
        connection.execute("CREATE ROLE visitor")
        connection.execute("SET LOCAL ROLE visitor")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
        connection.rollback()


def test_applies_and_promotions_are_events_for_those_who_name_them(site: Site) -> None:
    add_repositories(site.database, "acme/tools")
    stages = [{"percentage": 10, "soak": "1s"}, {"percentage": 25, "soak": "1s"}]
    targets = {
        "audit": {"kind": "webhook", "events": ["applied", "promoted"]},
        "team": {"kind": "slack"},
    }

    def write(percentage: int) -> None:
        feature = {"percentage": percentage, "progression": stages}
        site.write(rollout_file({"capture": feature}, notifications=targets))

    write(10)
    apply_file(site)
    write(25)
    document = read_rollout_file(site.file)
    application = Application(read_source(document), document.rollout, applied_by="a test")
    permission = Permission(frozenset({Allowed(GuardName.SOAK)}))
    reconcile.apply(opened(site.database), application, permission)
    assert events(site.database, "audit") == [
        ("applied", None),
        ("applied", None),
        ("promoted", "capture"),
    ]
    assert events(site.database, "team") == [("promoted", "capture")]


def test_drift_that_an_apply_keeps_pages_once(site: Site) -> None:
    add_repositories(site.database, "acme/tools")
    feature = {"percentage": 50, "guards": {"max_increase": 60}}
    text = rollout_file({"capture": feature}, notifications={"all": {"kind": "webhook"}})
    site.write(text)
    apply_file(site)
    site.database.execute("UPDATE rollout_configuration SET emergency_stop = true")
    apply_file(site)
    assert site.database.value("SELECT count(*) FROM rollout_override WHERE state = 'on'") == 1
    assert events(site.database) == [("stopped", "capture")]
    safeguard.resume(opened(site.database), "capture", by="ada", reason="mended")
    assert [event for event, _ in events(site.database)] == ["stopped", "resumed"]
    assert len(set(incidents(site.database))) == 1
