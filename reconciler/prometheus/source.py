"""Figures from Prometheus: two queries, one that counts jobs and one that counts those that failed.

What Prometheus tells is estimated from samples: numbers are rounded to whole jobs, and how old the newest
job is follows from whether there was one of late.
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
from reconciler.targeting.categories import Category

CATEGORY_LABEL: Final = "category"
PROCESSOR_LABEL: Final = "processor"

_SHORTEST: Final = timedelta(milliseconds=1)
_MOST_ERRORS_PER_JOB: Final = 1.1
"""Two counters may be sampled and extrapolated apart; more than this is another query's answer."""


@dataclass(frozen=True, slots=True)
class PrometheusMetrics:
    """The figures of two queries, as of the database's time."""

    server: PrometheusServer
    jobs: Template
    errors: Template

    def read_metrics(self, feature: str, period: Period) -> JobMetrics:
        """Return what one feature's jobs came to within a period, by label where samples have it.

        Raises:
            Unavailable: Prometheus did not answer, or not with numbers of jobs.
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
    """Return the figures that samples of jobs and of errors come to.

    Args:
        jobs: how many there were, in one sample or in several by label.
        errors: how many of them failed; none where none did.
        newest_age: how long ago the newest was, at the most.

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
