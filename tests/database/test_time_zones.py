"""Every transaction is in UTC: a duration is elapsed time, with any zone of the database."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import psycopg
import pytest

from reconciler.database import schema
from reconciler.database.health import read_health, read_soaking
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.database.transactions import read_only_transaction, write_transaction
from reconciler.planning.health import Health, Verdict
from rollout_client.connection import connect
from tests.database.hosts import make_host
from tests.postgres import Database

TOOLS = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"
ZONES = ["America/New_York", "Australia/Sydney"]
"""One zone on each side of the equator: when the offset of one has grown, the other's has shrunk."""
AN_HOUR = timedelta(hours=1)


def time_since_a_change(zone: str) -> timedelta:
    """Return a number of whole days within which the zone's offset changed."""
    now, place = datetime.now(UTC), ZoneInfo(zone)
    for days in range(2, 364):
        begin = now - timedelta(days=days)
        if begin.astimezone(place).utcoffset() != now.astimezone(place).utcoffset():
            return timedelta(days=days)
    raise AssertionError("a zone with daylight saving changes within a year")


def set_zone(database: Database, zone: str) -> OpenedDatabase:
    name = database.value("SELECT current_database()")
    database.execute(f"ALTER DATABASE {name} SET timezone = '{zone}'")
    with psycopg.connect(database.url) as connection:
        assert connection.execute("SHOW timezone").fetchone() == (zone,)
    return OpenedDatabase.at(database.address)


def add_feature(database: Database, window: timedelta) -> None:
    database.execute(
        """
        INSERT INTO repositories (id, owner, name, full_name)
        VALUES (%(id)s, 'acme', 'tools', 'acme/tools');
        """,
        id=TOOLS,
    )
    database.execute(
        """
        INSERT INTO rollout_configuration
            (feature_name, rollout_percentage, monitoring_window, created_at)
        VALUES ('capture', 100, %(window)s, now() - interval '364 days')
        """,
        window=window,
    )


def add_jobs(database: Database, *, ago: timedelta, jobs: int) -> None:
    """Report failed jobs in a window that began this much elapsed time ago."""
    begin = datetime.now(UTC) - ago
    database.execute(
        """
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,
            error_count, metrics_window_start, metrics_window_end, updated_at)
        SELECT id, %(repository)s, 'github_actions', %(jobs)s, %(jobs)s, %(begin)s, %(end)s, now()
        FROM rollout_configuration
        """,
        repository=TOOLS,
        jobs=jobs,
        begin=begin,
        end=begin + timedelta(minutes=5),
    )


def health(opened: OpenedDatabase) -> Health:
    with read_only_transaction(opened) as connection:
        return read_health(connection, "capture")


@pytest.mark.parametrize("zone", ZONES)
def test_a_window_is_elapsed_time_when_the_clocks_change(database: Database, zone: str) -> None:
    """A job half an hour inside the window counts; one half an hour before it does not."""
    window = time_since_a_change(zone)
    opened = set_zone(database, zone)
    add_feature(database, window)
    add_jobs(database, ago=window - AN_HOUR / 2, jobs=400)
    add_jobs(database, ago=window + AN_HOUR / 2, jobs=7)

    found = health(opened)

    assert found.metrics is not None
    assert found.metrics.total.jobs == 400
    assert found.period.now - found.period.begin == window


@pytest.mark.parametrize("zone", [*ZONES, "Pacific/Chatham", "Etc/GMT+12"])
def test_failing_jobs_are_judged_in_any_zone(database: Database, zone: str) -> None:
    opened = set_zone(database, zone)
    add_feature(database, timedelta(minutes=15))
    add_jobs(database, ago=timedelta(minutes=10), jobs=400)
    assert health(opened).judgement.verdict is Verdict.FAIL


@pytest.mark.parametrize("zone", ZONES)
def test_a_soak_is_elapsed_time_when_the_clocks_change(database: Database, zone: str) -> None:
    soak = time_since_a_change(zone)
    opened = set_zone(database, zone)
    add_feature(database, timedelta(days=1))
    database.execute(
        """
        INSERT INTO rollout_history
            (rollout_config_id, action, previous_percentage, new_percentage, created_at)
        SELECT id, 'percentage_changed', 0, 100, %(at)s FROM rollout_configuration
        """,
        at=datetime.now(UTC) - soak,
    )
    with read_only_transaction(opened) as connection:
        soaking = read_soaking(connection, "capture", Decimal(100))
    assert abs(soaking.now - soaking.reached_at - soak) < timedelta(minutes=5)


def test_every_transaction_has_its_own_settings(database: Database) -> None:
    name = database.value("SELECT current_database()")
    for setting in (
        "timezone = 'America/New_York'",
        "search_path = public, pg_catalog",
        "intervalstyle = 'iso_8601'",
        "datestyle = 'SQL, DMY'",
        "statement_timeout = 0",
        "lock_timeout = 0",
    ):
        database.execute(f"ALTER DATABASE {name} SET {setting}")
    names = ("timezone", "search_path", "intervalstyle", "datestyle")
    wanted = ["UTC", "pg_catalog, pg_temp", "postgres", "ISO, MDY"]
    opened = OpenedDatabase.at(database.address)

    with read_only_transaction(opened) as connection:
        assert [connection.execute(f"SHOW {each}").scalar() for each in names] == wanted
        interval = connection.execute("SELECT interval '3 days 04:05:06'").scalar()
        assert interval == timedelta(days=3, hours=4, minutes=5, seconds=6)
        limits = ("lock_timeout", "statement_timeout")
        shown = [connection.execute(f"SHOW {each}").scalar() for each in limits]
        assert shown == ["10s", "2min"]
    written = write_transaction(
        opened, lambda each: [each.execute(f"SHOW {name}").scalar() for name in names]
    )
    assert written == wanted

    with connect(database.address, patience=10) as client:
        with client.begun():
            shown = [client.execute(f"SHOW {each}").fetchone() for each in names]
        assert shown == [(each,) for each in wanted]
        # They end with the transaction, so a pooled session keeps none of them.
        assert client.execute("SHOW timezone").fetchone() == ("America/New_York",)


def test_times_without_a_zone_are_adopted_in_the_zone_of_the_database(
    empty_database: Database,
) -> None:
    """The service wrote local times; after adoption they are the same moments."""
    make_host(empty_database)
    set_zone(empty_database, "America/New_York")
    empty_database.execute("""
        ALTER TABLE rollout_history ALTER COLUMN created_at TYPE timestamp;
        INSERT INTO rollout_history (action, reason, created_at)
        VALUES ('created', 'in winter', '2026-01-15 12:00'),
            ('created', 'in summer', '2026-07-15 12:00');
    """)
    schema.upgrade(empty_database.engine)
    rows = empty_database.rows(
        "SELECT reason, created_at FROM rollout_history WHERE reason LIKE 'in %' ORDER BY created_at"
    )
    assert [(row["reason"], row["created_at"].astimezone(UTC).hour) for row in rows] == [
        ("in winter", 17),
        ("in summer", 16),
    ]
