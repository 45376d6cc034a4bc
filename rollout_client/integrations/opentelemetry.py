"""OpenTelemetry: metrics of decisions, outcomes and circuits, and spans of reads.

from rollout_client.integrations import opentelemetry as rollout_opentelemetry

rollout_opentelemetry.instrument(client)

Names of attributes follow the semantic conventions for feature flags. A decision inside a span also adds the
event `feature_flag.evaluation` to it. Call this after a fork, like the setup of OpenTelemetry's SDK itself.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Final
from uuid import UUID

from opentelemetry import metrics, trace

from rollout_client._version import __version__
from rollout_client.async_client import AsyncRolloutClient
from rollout_client.circuits import CircuitState
from rollout_client.client import RolloutClient
from rollout_client.observer import Observer
from rollout_client.openfeature.evaluation import reason_of
from rollout_client.outcome import Outcome
from rollout_client.state import Answer
from rollout_client.status import Status
from rollout_client.targeting.eligibility import Rule

PROVIDER: Final = "rollout-reconciler"
_SCOPE: Final = "rollout_client"


def instrument(
    client: RolloutClient | AsyncRolloutClient,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> None:
    """Report what a client does to OpenTelemetry.

    `record` then takes locks of OpenTelemetry: a signal handler must not call it any more.

    Args:
        client: the client.
        tracer_provider: where spans go; the global one by default.
        meter_provider: where metrics go; the global one by default.
    """
    client.observe(
        _Telemetry(
            trace.get_tracer(_SCOPE, __version__, tracer_provider),
            metrics.get_meter(_SCOPE, __version__, meter_provider),
        )
    )


class _Telemetry(Observer):
    def __init__(self, tracer: trace.Tracer, meter: metrics.Meter) -> None:
        self._tracer = tracer
        self._meter = meter
        self._decisions = meter.create_counter(
            "rollout.decisions", "{decision}", "Decisions by feature, rule and result."
        )
        self._outcomes = meter.create_counter(
            "rollout.outcomes", "{outcome}", "Outcomes of jobs that were handed over."
        )
        self._circuits = meter.create_counter(
            "rollout.circuit.changes", "{change}", "Changes of circuits by their new state."
        )

    def watch(self, status: Callable[[], Status]) -> None:
        def age(_options: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            known = status().age
            return [] if known is None else [metrics.Observation(known.total_seconds())]

        def waiting(_options: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            return [metrics.Observation(status().waiting)]

        def unwritten(_options: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            now = status()
            for cause in ("dropped", "refused", "lost"):
                yield metrics.Observation(getattr(now, cause), {"rollout.cause": cause})

        self._meter.create_observable_gauge(
            "rollout.data.age", [age], "s", "Time since the database last confirmed the data."
        )
        self._meter.create_observable_gauge(
            "rollout.outcomes.waiting", [waiting], "{outcome}", "Outcomes not written yet."
        )
        self._meter.create_observable_counter(
            "rollout.outcomes.unwritten", [unwritten], "{outcome}", "Outcomes that are not written."
        )

    def decided(self, repository: str | UUID, feature: str, answer: Answer) -> None:
        if answer.rule is Rule.UNKNOWN_FEATURE:
            # The name is not the file's: an attribute with it could take any number of values.
            result = {"feature_flag.result.reason": "error", "error.type": "flag_not_found"}
            key = {}
        else:
            result = {
                "feature_flag.result.variant": "on" if answer.eligible else "off",
                "feature_flag.result.reason": reason_of(answer).value.lower(),
            }
            key = {"feature_flag.key": feature}
        attributes = {
            "feature_flag.provider.name": PROVIDER,
            "rollout.rule": answer.rule.value,
            **result,
        }
        self._decisions.add(1, {**key, **attributes})
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event(
                "feature_flag.evaluation",
                {
                    **attributes,
                    "feature_flag.key": feature,
                    "feature_flag.context.id": str(repository),
                },
            )

    def recorded(self, outcome: Outcome, *, is_taken: bool) -> None:
        self._outcomes.add(
            1,
            {
                "feature_flag.key": outcome.feature,
                "rollout.processor": outcome.processor,
                "rollout.succeeded": outcome.succeeded,
                "rollout.taken": is_taken,
            },
        )

    def circuit_changed(self, feature: str, state: CircuitState) -> None:
        self._circuits.add(1, {"feature_flag.key": feature, "rollout.circuit.state": state.value})

    def reading(self, what: str) -> AbstractContextManager[object]:
        return self._tracer.start_as_current_span(
            f"rollout read {what}", kind=trace.SpanKind.CLIENT
        )
