"""A receiver that is down, senders at the same time: each message arrives, in order, once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.notifications import (
    add_feature,
    add_target,
    deliver,
    make_due,
    webhook_environment,
)
from tests.postgres import Database
from tests.receivers import Answer, check_webhook, receiver


def test_after_an_hour_of_outage_everything_arrives_in_order(database: Database) -> None:
    add_feature(database)
    add_target(database, "audit", "webhook")
    with receiver(check_webhook) as hook:
        environment = webhook_environment("audit", hook)
        for is_stopped in (True, False, True, False):
            database.execute(f"UPDATE rollout_configuration SET emergency_stop = {is_stopped}")
        for _ in range(12):
            hook.script = [Answer(503)] * 4
            deliver(database, environment)
            database.execute(
                "UPDATE rollout_notification SET tried_since = tried_since - interval '5 minutes'"
            )
            make_due(database)
        assert hook.received == []
        hook.script = []
        for _ in range(4):
            make_due(database)
            deliver(database, environment)
        assert [each.body["event"] for each in hook.received] == [
            "stopped",
            "resumed",
            "stopped",
            "resumed",
        ]
        assert len({each.body["id"] for each in hook.received}) == 4
    states = database.rows("SELECT DISTINCT state FROM rollout_notification")
    assert states == [{"state": "delivered"}]


def test_after_a_day_of_outage_a_message_is_dead_and_can_be_tried_again(database: Database) -> None:
    add_feature(database)
    add_target(database, "audit", "webhook")
    with receiver(check_webhook) as hook:
        environment = webhook_environment("audit", hook)
        database.execute("UPDATE rollout_configuration SET emergency_stop = true")
        database.execute(
            "UPDATE rollout_notification SET tried_since = tried_since - interval '24 hours'"
        )
        hook.script = [Answer(503)]
        (tried,) = deliver(database, environment)
        assert tried.state == "dead"
        database.execute(
            "UPDATE rollout_notification SET state = 'pending', next_try_at = clock_timestamp()"
        )
        (again,) = deliver(database, environment)
        assert again.state == "delivered"
        assert again.message.id == tried.message.id


@pytest.mark.parametrize("retry_after", ["0", "Wed, 21 Oct 2015 07:28:00 GMT", "soon"])
def test_a_receiver_that_asks_for_no_wait_is_asked_once_a_run(
    database: Database, retry_after: str
) -> None:
    add_feature(database)
    add_target(database, "audit", "webhook")
    with receiver(check_webhook) as hook:
        environment = webhook_environment("audit", hook)
        database.execute("UPDATE rollout_configuration SET emergency_stop = true")
        hook.script = [Answer(429, {"retry-after": retry_after})] * 40
        (tried,) = deliver(database, environment)
        assert tried.state == "pending"
        assert len(hook.tried) == 1


def test_several_senders_at_once_send_each_message_once(database: Database) -> None:
    add_target(database, "audit", "webhook")
    with receiver(check_webhook) as hook:
        environment = webhook_environment("audit", hook)
        for number in range(3):
            add_feature(database, f"feature_{number}")
            database.execute(
                "UPDATE rollout_configuration SET emergency_stop = true"
                " WHERE feature_name = %(name)s",
                name=f"feature_{number}",
            )
        with ThreadPoolExecutor(4) as senders:
            list(senders.map(lambda _: deliver(database, environment), range(4)))
        features = [tuple(each.body["features"]) for each in hook.received]
    assert sorted(features) == [("feature_0",), ("feature_1",), ("feature_2",)]
