"""A full queue of notifications: a stop, an apply and SQL typed by hand succeed, and clients poll."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconciler.database import schema
from reconciler.database.embedded import EmbeddedServer
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.operations import safeguard
from rollout_client.client import RolloutClient
from tests.builders import RepositoryRow, add_repositories
from tests.eventually import eventually
from tests.postgres import SETTINGS_THAT_LOSE_DATA, Database
from tests.site import Site
from tests.watching import watching

FEATURE = "hybrid_progressive_capture"
REPOSITORY = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"
BREAK_GLASS = f"""
    UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true, updated_at = now()
     WHERE feature_name = '{FEATURE}';
    INSERT INTO rollout_history (rollout_config_id, action, previous_percentage, new_percentage, reason, triggered_by)
    VALUES ((SELECT id FROM rollout_configuration WHERE feature_name = '{FEATURE}'),
            'emergency_rollback', 50, 0, 'Manual emergency rollback', 'manual');
"""


@pytest.fixture
def small_queue(tmp_path: Path) -> Iterator[Database]:
    """A database on a server of its own, whose queue of notifications is the smallest that Postgres allows."""
    settings = {**SETTINGS_THAT_LOSE_DATA, "max_connections": "20", "max_notify_queue_pages": "64"}
    server = EmbeddedServer(tmp_path / "server", settings)
    database = Database(server.start())
    try:
        schema.upgrade(database.engine)
        add_repositories(database, RepositoryRow("acme/tools", id=REPOSITORY))
        database.execute(
            "INSERT INTO rollout_configuration (feature_name, rollout_percentage)"
            f" VALUES ('{FEATURE}', 100)"
        )
        yield database
    finally:
        database.engine.dispose()
        server.stop()


def usage(database: Database) -> float:
    return float(database.value("SELECT pg_notification_queue_usage()"))


def send_without_end(sender: "psycopg.Connection[Any]") -> None:
    while True:
        sender.execute(
            "SELECT pg_notify('another_channel', repeat('a', 7000) || number)"
            " FROM generate_series(1, 20) AS numbers (number)"
        )
        sender.commit()


@pytest.fixture
def full(small_queue: Database) -> Iterator[Database]:
    """The same with its queue filled to the end: a listener is idle in a transaction, as any login can be."""
    with small_queue.connect() as listener, small_queue.connect() as sender:
        listener.execute("LISTEN another_channel")
        listener.commit()
        listener.execute("SELECT 1")
        with pytest.raises(psycopg.Error, match="too many notifications in the NOTIFY queue"):
            send_without_end(sender)
        sender.rollback()
        assert usage(small_queue) > 0.9
        yield small_queue


def test_a_stop_and_sql_by_hand_succeed_with_a_full_queue(full: Database) -> None:
    with (
        full.connect(autocommit=True) as session,
        pytest.raises(psycopg.Error, match="too many notifications"),
    ):
        session.execute("SELECT pg_notify('rollout_changed', repeat('a', 7900))")

    full.execute(BREAK_GLASS)
    full.execute("UPDATE rollout_configuration SET rollout_percentage = 50, emergency_stop = false")
    acted = safeguard.stop(OpenedDatabase.at(full.address), FEATURE, by="a test", reason="it hurts")

    assert acted.act is not None
    assert full.value("SELECT emergency_stop FROM rollout_configuration") is True
    full.execute("SELECT categorize_all_repositories(); TRUNCATE rollout_membership")


def test_a_client_polls_while_the_queue_is_full(full: Database) -> None:
    with RolloutClient(full.url, poll_every=0.2) as client:
        eventually(lambda: client.is_eligible(REPOSITORY, FEATURE))
        full.execute(BREAK_GLASS)
        eventually(lambda: not client.is_eligible(REPOSITORY, FEATURE))


def test_status_and_watch_report_a_full_queue(full: Database, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    site = Site.make(tmp_path / "site", full)
    try:
        status = site.reconcile("status")
        with watching(site) as start:
            said = start().tells("failed", subject="notifications")["why"]
    finally:
        site.end()

    assert "queue of notifications is over half full" in " ".join(status.stdout.split())
    assert "clients only poll; end the session that listens" in said


def test_a_watch_reports_a_queue_that_has_room_again(small_queue: Database, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    site = Site.make(tmp_path / "site", small_queue)
    try:
        with watching(site) as start:
            with small_queue.connect() as listener:
                listener.execute("LISTEN another_channel")
                listener.commit()
                listener.execute("SELECT 1")
                while usage(small_queue) <= 0.5:
                    small_queue.execute("SELECT pg_notify('another_channel', repeat('a', 7900))")
                watcher = start()
                watcher.tells("failed", subject="notifications")
            watcher.tells("recovered", subject="notifications")
    finally:
        site.end()


def test_a_queue_with_room_is_not_mentioned(site: Site) -> None:
    assert "queue" not in site.reconcile("status").stdout
