"""The client behind a pooler: it finds out that notifications do not arrive, and polls."""

import pytest

from tests.database.test_client import ACME, change, following, load
from tests.eventually import eventually
from tests.pooler import needs_pgbouncer, pooled
from tests.postgres import Database

pytestmark = needs_pgbouncer


def test_behind_a_transaction_pooler_it_polls_and_leaves_no_listen(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    load(database)
    with pooled(database, connections=2) as through:
        with following(through, poll_every=0.2) as client:
            assert client.is_eligible(ACME, "f")
            change(database, "emergency_stop = true")
            eventually(lambda: not client.is_eligible(ACME, "f"))
        listening = [
            through.value("SELECT count(*) FROM pg_listening_channels()") for _ in range(10)
        ]
    assert "a pooler gives each transaction another connection, so no notification comes" in (
        caplog.text
    )
    assert "changes are polled for every 0.2 seconds" in caplog.text
    assert listening == [0] * 10


def test_behind_a_session_pooler_it_is_notified(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    load(database)
    with (
        pooled(database, connections=5, mode="session") as through,
        following(through, poll_every=3600, max_staleness=36000) as client,
    ):
        assert client.is_eligible(ACME, "f")
        change(database, "emergency_stop = true")
        eventually(lambda: not client.is_eligible(ACME, "f"))
    assert "pooler" not in caplog.text
