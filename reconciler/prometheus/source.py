"""Job metrics from Prometheus: one query counts jobs, and one counts failed jobs.

Prometheus estimates from samples: numbers are rounded to whole jobs, and the age of the newest job is
estimated from a query of the last hour.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from reconciler.errors import Unavailable
from reconciler.planning.health import STALE_AFTER, JobMetrics, Period, Tally
from reconciler.prometheus.answers import Sample
from reconciler.prometheus.server import Ask, PrometheusServer
from reconciler.prometheus.templates import Template
from rollout_client.targeting.categories import Category

CATEGORY_LABEL: Final = "category"
PROCESSOR_LABEL: Final = "processor"

_SHORTEST: Final = timedelta(milliseconds=1)
_MOST_ERRORS_PER_JOB: Final = 1.1
"""Two counters are extrapolated separately; a higher share shows that the queries do not fit together."""


@dataclass(frozen=True, slots=True)
class PrometheusMetrics:
    """The metrics of two queries, evaluated at the database's time."""

    server: PrometheusServer
    jobs: Template
    errors: Template

    def read_metrics(self, feature: str, period: Period) -> JobMetrics:
        """Return the metrics of one feature within a period, by label if samples have it.

        Raises:
            Unavailable: Prometheus did not answer, or an answer is not a number of jobs.
        """
        window = period.now - period.begin
        if window < _SHORTEST:
            return JobMetrics()

        def read(ask: Ask) -> JobMetrics:
            jobs = ask(self.jobs.fill(feature, window))
            errors = ask(self.errors.fill(feature, window))
            newest_age = timedelta(0)
            if window > STALE_AFTER and not _sum(ask(self.jobs.fill(feature, STALE_AFTER))):
                newest_age = window
            return make_metrics(jobs, errors, newest_age)

        return self.server.read(period.now, read)


def make_metrics(
    jobs: Sequence[Sample], errors: Sequence[Sample], newest_age: timedelta
) -> JobMetrics:
    """Return the metrics of samples of jobs and of errors.

    Args:
        jobs: the numbers of jobs, in one sample or in several by label.
        errors: the numbers of failed jobs; empty without failures.
        newest_age: an upper limit for the age of the newest job.

    Raises:
        Unavailable: there are more errors than jobs.
    """
    in_all, failed = _sum(jobs), _sum(errors)
    total = _tally(in_all, failed)
    if failed > _MOST_ERRORS_PER_JOB * in_all + 1:
        raise Unavailable(f"the queries of Prometheus count {failed:g} errors of {in_all:g} jobs")
    by_category = _by_label(CATEGORY_LABEL, jobs, errors)
    return JobMetrics(
        total=total,
        newest_age=newest_age if total.jobs else None,
        by_category={each: by_category[each] for each in Category if each in by_category},
        by_processor=_by_label(PROCESSOR_LABEL, jobs, errors),
    )


def _by_label(label: str, jobs: Sequence[Sample], errors: Sequence[Sample]) -> Mapping[str, Tally]:
    counted: defaultdict[str, list[Sample]] = defaultdict(list)
    failed: defaultdict[str, list[Sample]] = defaultdict(list)
    for samples, grouped in ((jobs, counted), (errors, failed)):
        for sample in samples:
            if sample.labels.get(label):
                grouped[sample.labels[label]].append(sample)
    tallies = {name: _tally(_sum(each), _sum(failed[name])) for name, each in counted.items()}
    having_jobs = ((name, tally) for name, tally in tallies.items() if tally.jobs)
    return dict(sorted(having_jobs, key=lambda each: (-each[1].jobs, each[0])))


def _sum(samples: Sequence[Sample]) -> float:
    return sum(sample.value for sample in samples)


def _tally(jobs: float, errors: float) -> Tally:
    return Tally(jobs=round(jobs), errors=min(round(errors), round(jobs)))
