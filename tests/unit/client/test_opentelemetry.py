"""What OpenTelemetry's own SDK gets of a client."""

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import feature_flag_attributes as conventions

from rollout_client.integrations.opentelemetry import instrument
from rollout_client.testing import FakeRolloutClient


class Telemetry:
    """The SDK, with all that it got."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._spans = InMemorySpanExporter()
        self.meters = MeterProvider([self._reader])
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))

    def points(self, name: str) -> list[tuple[dict[str, Any], float]]:
        """The attributes and the value of each series of a metric."""
        data = self._reader.get_metrics_data()
        return [
            (dict(point.attributes or {}), point.value)  # type: ignore[union-attr]
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def spans(self) -> list[Any]:
        return list(self._spans.get_finished_spans())


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def client(telemetry: Telemetry) -> FakeRolloutClient:
    client = FakeRolloutClient(eligible={"f": ["acme/*"]})
    client.is_eligible("acme/site", "f")
    instrument(client, tracer_provider=telemetry.tracers, meter_provider=telemetry.meters)
    return client


def test_each_decision_counts_with_its_rule_and_result(
    client: FakeRolloutClient, telemetry: Telemetry
) -> None:
    for _ in range(3):
        assert client.is_eligible("acme/site", "f")
    assert not client.is_eligible("other/site", "f")
    client.explain("acme/site", "f")

    common = {
        conventions.FEATURE_FLAG_KEY: "f",
        conventions.FEATURE_FLAG_PROVIDER_NAME: "rollout-reconciler",
    }
    on = conventions.FeatureFlagResultReasonValues.TARGETING_MATCH.value
    off = conventions.FeatureFlagResultReasonValues.DEFAULT.value
    variant, reason = (
        conventions.FEATURE_FLAG_RESULT_VARIANT,
        conventions.FEATURE_FLAG_RESULT_REASON,
    )
    assert telemetry.points("rollout.decisions") == [
        ({**common, "rollout.rule": "whitelisted", variant: "on", reason: on}, 3),
        ({**common, "rollout.rule": "whitelist_strategy", variant: "off", reason: off}, 1),
    ]


def test_names_of_unknown_features_make_no_series(
    client: FakeRolloutClient, telemetry: Telemetry
) -> None:
    for number in range(5):
        client.is_eligible("acme/site", f"unknown-{number}")

    ((attributes, count),) = telemetry.points("rollout.decisions")
    assert count == 5
    assert attributes["error.type"] == "flag_not_found"
    assert conventions.FEATURE_FLAG_KEY not in attributes


def test_a_decision_inside_a_span_is_an_event_of_it(
    client: FakeRolloutClient, telemetry: Telemetry
) -> None:
    with telemetry.tracers.get_tracer("service").start_as_current_span("request"):
        client.is_eligible("acme/site", "f")

    (span,) = telemetry.spans()
    (event,) = span.events
    assert event.name == "feature_flag.evaluation"
    assert event.attributes[conventions.FEATURE_FLAG_CONTEXT_ID] == "acme/site"


def test_outcomes_and_changes_of_circuits_count(
    client: FakeRolloutClient, telemetry: Telemetry
) -> None:
    for _ in range(5):
        client.record("acme/site", "f", "github_actions", succeeded=False)
    client.now += 30
    assert client.is_eligible("acme/site", "f")
    client.record("acme/site", "f", "github_actions", succeeded=True)

    outcomes = {
        each["rollout.succeeded"]: count for each, count in telemetry.points("rollout.outcomes")
    }
    assert outcomes == {False: 5, True: 1}
    states = {
        each["rollout.circuit.state"]: count
        for each, count in telemetry.points("rollout.circuit.changes")
    }
    assert states == {"open": 1, "half_open": 1, "closed": 1}
    assert telemetry.points("rollout.outcomes.waiting") == [({}, 0)]
