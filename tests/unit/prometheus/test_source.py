"""Samples of jobs and errors: the resulting metrics, and the time of the queries."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from reconciler.errors import Unavailable
from reconciler.planning.health import JobMetrics, Period, Tally
from reconciler.prometheus.answers import Sample
from reconciler.prometheus.source import PrometheusMetrics, make_metrics
from reconciler.prometheus.templates import Template
from rollout_client.targeting.categories import Category

if TYPE_CHECKING:
    from reconciler.prometheus.server import PrometheusServer

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NONE = timedelta(0)


def of(value: float, **labels: str) -> Sample:
    return Sample(labels, value)


def test_one_sample_is_the_total() -> None:
    assert make_metrics([of(200)], [of(25)], NONE) == JobMetrics(Tally(200, 25), NONE)


def test_labels_give_category_and_processor() -> None:
    metrics = make_metrics(
        [
            of(10.2, category="large", processor="github_actions"),
            of(89.9, category="small", processor="github_actions"),
            of(5, category="unheard of", processor="inngest"),
            of(7, category="small", processor="inngest"),
            of(0.2, category="test", processor="cron"),
        ],
        [of(3.1, category="small", processor="github_actions"), of(2, processor="inngest")],
        NONE,
    )

    assert metrics.total == Tally(100, 3)
    assert metrics.by_category == {Category.SMALL: Tally(90, 3), Category.LARGE: Tally(10, 0)}
    assert metrics.by_processor == {"github_actions": Tally(100, 3), "inngest": Tally(12, 2)}
    assert metrics.baseline == Tally(12, 2)
    assert metrics.baseline_by_category == {Category.SMALL: Tally(7, 0)}


def test_samples_without_a_processor_are_judged() -> None:
    """A query of one's own may sum over the label."""
    metrics = make_metrics([of(20), of(9, processor="inngest")], [of(2)], NONE)

    assert (metrics.total, metrics.baseline) == (Tally(20, 2), Tally(9, 0))


@pytest.mark.parametrize("jobs", [[], [of(0)], [of(0.4)]])
def test_without_a_job_there_is_no_newest_job(jobs: list[Sample]) -> None:
    assert make_metrics(jobs, [], NONE) == JobMetrics()


def test_a_counter_of_errors_may_run_ahead_by_a_scrape() -> None:
    assert make_metrics([of(10.4)], [of(10.6)], NONE).total == Tally(10, 10)


def test_many_more_errors_than_jobs_are_refused() -> None:
    with pytest.raises(Unavailable, match="the queries of Prometheus count 50 errors of 10 jobs"):
        make_metrics([of(10)], [of(50)], NONE)


@dataclass
class Answering:
    """A server whose answers depend on the time of the query."""

    jobs: Callable[[str], float]
    asked: list[str] = field(default_factory=list)

    def read(self, at: datetime, reading: Callable[[Any], JobMetrics]) -> JobMetrics:
        assert at == NOW

        def ask(query: str) -> tuple[Sample, ...]:
            self.asked.append(query)
            kind, _, window = query.split()
            return (of(self.jobs(window) if kind == "jobs" else 0),)

        return reading(ask)


def read(period: Period, jobs: Callable[[str], float]) -> tuple[JobMetrics, list[str]]:
    server = Answering(jobs)
    source = PrometheusMetrics(
        cast("PrometheusServer", server),
        Template("jobs $feature $window"),
        Template("errors $feature $window"),
    )
    return source.read_metrics("capture", period), server.asked


def test_the_window_and_the_last_hour_are_queried() -> None:
    metrics, asked = read(Period(NOW, timedelta(days=1)), lambda _: 20)

    assert asked == [
        'jobs "capture" 86400000ms',
        'errors "capture" 86400000ms',
        'jobs "capture" 3600000ms',
    ]
    assert metrics == JobMetrics(Tally(20, 0), NONE)


def test_only_old_jobs_are_stale() -> None:
    day = timedelta(days=1)

    metrics, _ = read(Period(NOW, day), lambda window: 0 if window == "3600000ms" else 20)

    assert metrics == JobMetrics(Tally(20, 0), newest_age=day)


def test_a_resume_shortens_the_queried_time() -> None:
    resumed_at = NOW - timedelta(seconds=90, microseconds=1_500)

    _, asked = read(Period(NOW, timedelta(days=1), resumed_at), lambda _: 20)

    assert asked == ['jobs "capture" 90001ms', 'errors "capture" 90001ms']


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(microseconds=999), timedelta(seconds=-5)])
def test_a_resume_at_this_moment_needs_no_query(ago: timedelta) -> None:
    assert read(Period(NOW, timedelta(days=1), NOW - ago), lambda _: 20) == (JobMetrics(), [])
