"""The reads of a client as spans of OpenTelemetry's own SDK."""

from contextlib import closing

from rollout_client import RolloutClient
from rollout_client.integrations.opentelemetry import instrument
from tests.database.test_client import ACME, load
from tests.eventually import DEADLINE_SECONDS, eventually
from tests.postgres import Database
from tests.unit.client.test_opentelemetry import Telemetry


def test_each_read_of_the_database_is_a_span(database: Database) -> None:
    load(database)
    telemetry = Telemetry()
    with closing(RolloutClient(database.url)) as client:
        instrument(client, tracer_provider=telemetry.tracers, meter_provider=telemetry.meters)
        assert client.is_eligible(ACME, "f", wait=DEADLINE_SECONDS) in {True, False}
        names = {"rollout read features", "rollout read repositories"}
        eventually(lambda: names <= {each.name for each in telemetry.spans()})

        (age,) = telemetry.points("rollout.data.age")
        assert 0 <= age[1] < DEADLINE_SECONDS
