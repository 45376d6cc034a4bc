"""The metrics on which a rollback was decided, for its row of history."""

from collections.abc import Mapping
from typing import Any

from reconciler.planning.field_types import plain
from reconciler.planning.health import NO_JOBS, Health


def rollback_metrics(health: Health) -> Mapping[str, Any]:
    """Return the metrics of a verdict as the metadata of its rollback has them."""
    total = NO_JOBS if health.metrics is None else health.metrics.total
    return {
        "error_rate": plain(total.error_rate),
        "max_error_rate": plain(health.limits.max_error_rate),
        "jobs": total.jobs,
        "errors": total.errors,
        "since": health.period.begin.isoformat(),
        **_arms(health),
    }


def _arms(health: Health) -> Mapping[str, Any]:
    baseline = NO_JOBS if health.metrics is None else health.metrics.baseline
    found: dict[str, Any] = {
        "processor": health.period.processors.processor,
        "fallback": health.period.processors.fallback,
        "baseline_jobs": baseline.jobs,
        "baseline_errors": baseline.errors,
        "method": health.limits.method.value,
    }
    if health.evidence is not None:
        found |= {
            "evidence": health.evidence.value,
            "evidence_fails_at": health.evidence.fail_line,
            "test": health.evidence.test.value,
            "test_since": health.evidence.start.at.isoformat(),
        }
    return found
