"""Notifications as tests write and deliver them, without a checkout."""

from collections.abc import Mapping

from reconciler.database.transactions import Database as OpenDatabase
from reconciler.notifications.delivery import Deliverer, Tried
from reconciler.notifications.sender import Sender
from tests.postgres import Database
from tests.receivers import SIGNING_SECRET, Receiver


def add_target(database: Database, name: str, kind: str, **selected: list[str]) -> None:
    """A receiver, as an apply writes it."""
    database.execute(
        "INSERT INTO rollout_notification_target (name, kind, events, severities, features)"
        " VALUES (%(name)s, %(kind)s, %(events)s, %(severities)s, %(features)s)",
        name=name,
        kind=kind,
        events=selected.get("events", []),
        severities=selected.get("severities", []),
        features=selected.get("features", []),
    )


def add_feature(database: Database, name: str = "capture", percentage: int = 50) -> None:
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage)"
        " VALUES (%(name)s, %(percentage)s)",
        name=name,
        percentage=percentage,
    )


def webhook_environment(name: str, receiver: Receiver) -> dict[str, str]:
    """The variables of a webhook on this machine."""
    variable = f"ROLLOUT_NOTIFY_{name.upper()}"
    return {
        "ROLLOUT_NOTIFY_ALLOW_PRIVATE": "true",
        f"{variable}_URL": receiver.url,
        f"{variable}_SECRET": SIGNING_SECRET,
    }


def deliver(database: Database, environment: Mapping[str, str]) -> list[Tried]:
    """Deliver the due messages, as `reconcile notify deliver` does; return the tries."""
    tried: list[Tried] = []
    deliverer = Deliverer(
        OpenDatabase.at(database.address), Sender(environment), report=tried.append
    )
    deliverer.start()
    deliverer.wait()
    return tried


def make_due(database: Database) -> None:
    """Let as much time go by as the next tries wait."""
    database.execute(
        "UPDATE rollout_notification SET next_try_at = clock_timestamp() WHERE state = 'pending'"
    )


def events(database: Database, target: str | None = None) -> list[tuple[str, str | None]]:
    """The events in the outbox with their features, in order."""
    rows = database.rows(
        "SELECT event, feature_name FROM rollout_notification"
        " WHERE target = coalesce(%(target)s, target) ORDER BY position",
        target=target,
    )
    return [(row["event"], row["feature_name"]) for row in rows]
