"""Metrics of the watch for Prometheus, made from its status when they are requested."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from reconciler.operations.events import Event, RolledBack, Subject
from reconciler.planning.health import Verdict
from reconciler.watching.status import Role
from reconciler.watching.watch import Watch


class RollbackCounter:
    """A listener that counts the rollbacks of this process by feature."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, event: Event) -> None:
        """Count the event if it is a rollback."""
        match event:
            case RolledBack(feature):
                self._counts[feature] += 1
            case _:
                pass

    @property
    def by_feature(self) -> dict[str, int]:
        """The number of rollbacks of each feature that has some."""
        return dict(self._counts)


class WatchMetrics(Collector):
    """The metrics of a watch."""

    def __init__(self, watch: Watch, rollbacks: RollbackCounter) -> None:
        self._watch = watch
        self._rollbacks = rollbacks

    def collect(self) -> Iterable[Metric]:
        yield from self._of_the_watch()
        yield from self._of_the_features()

    def _of_the_watch(self) -> Iterator[Metric]:
        status = self._watch.status
        ticks = CounterMetricFamily("rollout_watch_ticks", "Ticks by outcome.", labels=["outcome"])
        ticks.add_metric(["succeeded"], status.ticks)
        ticks.add_metric(["failed"], status.failed_ticks)
        yield ticks
        yield GaugeMetricFamily(
            "rollout_watch_active",
            "1 if this process is the active watcher.",
            value=status.role is Role.ACTIVE,
        )
        if status.last_tick_at is not None:
            yield GaugeMetricFamily(
                "rollout_watch_last_tick_seconds",
                "The time of the last tick that succeeded, in seconds since 1970.",
                value=status.last_tick_at,
            )
        failing = GaugeMetricFamily(
            "rollout_watch_failing", "1 if the last try failed.", labels=["subject"]
        )
        for subject in Subject:
            failing.add_metric([subject.value], self._watch.failures.is_failing(subject))
        yield failing
        yield GaugeMetricFamily(
            "rollout_pending_write_back",
            "Overrides that are not in git yet.",
            value=status.pending,
        )
        if status.outbox is not None:
            outbox = GaugeMetricFamily(
                "rollout_notifications",
                "Notifications that are not delivered.",
                labels=["state"],
            )
            for state in fields(status.outbox):
                outbox.add_metric([state.name], getattr(status.outbox, state.name))
            yield outbox

    def _of_the_features(self) -> Iterator[Metric]:
        verdicts = GaugeMetricFamily(
            "rollout_verdict", "1 for the feature's verdict.", labels=["feature", "verdict"]
        )
        rates = GaugeMetricFamily(
            "rollout_error_rate",
            "The share of failed jobs of the processor in percent; absent without jobs.",
            labels=["feature"],
        )
        evidence = GaugeMetricFamily(
            "rollout_evidence",
            "The evidence of each test against the feature; absent under the method threshold.",
            labels=["feature", "test"],
        )
        fails_at = GaugeMetricFamily(
            "rollout_evidence_fails_at",
            "The evidence from which on the feature is rolled back.",
            labels=["feature"],
        )
        limited = GaugeMetricFamily(
            "rollout_override_in_force", "1 if an override is in force.", labels=["feature"]
        )
        for each in self._watch.status.features:
            for verdict in Verdict:
                verdicts.add_metric(
                    [each.name, verdict.value], each.health.judgement.verdict is verdict
                )
            metrics = each.health.metrics
            rate = None if metrics is None else metrics.total.error_rate
            if rate is not None:
                rates.add_metric([each.name], float(rate))
            if each.health.evidence is not None:
                for test, value in each.health.evidence.by_test.items():
                    evidence.add_metric([each.name, test.value], value)
                fails_at.add_metric([each.name], each.health.evidence.fail_line)
            limited.add_metric([each.name], each.is_limited)
        rollbacks = CounterMetricFamily(
            "rollout_rollbacks", "Rollbacks by this process.", labels=["feature"]
        )
        for name, count in self._rollbacks.by_feature.items():
            rollbacks.add_metric([name], count)
        yield from (verdicts, rates, evidence, fails_at, limited, rollbacks)
