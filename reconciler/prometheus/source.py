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
from reconciler.planning.health import STALE_AFTER, JobMetrics, Period, Processors, Tally
from reconciler.prometheus.answers import Sample
from reconciler.prometheus.server import Ask, PrometheusServer
from reconciler.prometheus.templates import Template
from rollout_client.targeting.categories import Category

CATEGORY_LABEL: Final = "category"
PROCESSOR_LABEL: Final = "processor"

_SHORTEST: Final = timedelta(milliseconds=1)
_MOST_ERRORS_PER_JOB: Final = 1.1
"""Two counters are extrapolated separately; a higher share shows that the queries do not fit together."""
_DEFAULT_PROCESSORS: Final = Processors()


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
        processors = period.processors

        def read(ask: Ask) -> JobMetrics:
            jobs = ask(self.jobs.fill(feature, window))
            errors = ask(self.errors.fill(feature, window))
            newest_age = timedelta(0)
            if window > STALE_AFTER:
                fresh = _of_processor(
                    ask(self.jobs.fill(feature, STALE_AFTER)), processors.processor
                )
                newest_age = timedelta(0) if _sum(fresh) else window
            return make_metrics(jobs, errors, newest_age, processors)

        return self.server.read(period.now, read)


def make_metrics(
    jobs: Sequence[Sample],
    errors: Sequence[Sample],
    newest_age: timedelta,
    processors: Processors = _DEFAULT_PROCESSORS,
) -> JobMetrics:
    """Return the metrics of samples of jobs and of errors.

    Samples without the label of a processor are those of the processor that is judged.

    Args:
        jobs: the numbers of jobs, in one sample or in several by label.
        errors: the numbers of failed jobs; empty without failures.
        newest_age: an upper limit for the age of the newest job that is judged.
        processors: the feature's.

    Raises:
        Unavailable: there are more errors than jobs.
    """
    in_all, failed = _sum(jobs), _sum(errors)
    if failed > _MOST_ERRORS_PER_JOB * in_all + 1:
        raise Unavailable(f"the queries of Prometheus count {failed:g} errors of {in_all:g} jobs")
    judged, baseline = (
        tuple(
            _of_processor(samples, name, takes_unlabelled=is_judged) for samples in (jobs, errors)
        )
        for name, is_judged in ((processors.processor, True), (processors.fallback, False))
    )
    total = _tally(_sum(judged[0]), _sum(judged[1]))
    return JobMetrics(
        total=total,
        newest_age=newest_age if total.jobs else None,
        by_category=_by_category(*judged),
        by_processor=_by_label(PROCESSOR_LABEL, jobs, errors),
        baseline=_tally(_sum(baseline[0]), _sum(baseline[1])),
        baseline_by_category=_by_category(*baseline),
    )


def _of_processor(
    samples: Sequence[Sample], processor: str, *, takes_unlabelled: bool = True
) -> list[Sample]:
    """Return the samples of one processor, on request with those that have no such label."""
    return [
        sample
        for sample in samples
        if sample.labels.get(PROCESSOR_LABEL, "") == processor
        or (takes_unlabelled and not sample.labels.get(PROCESSOR_LABEL))
    ]


def _by_category(jobs: Sequence[Sample], errors: Sequence[Sample]) -> Mapping[Category, Tally]:
    by_category = _by_label(CATEGORY_LABEL, jobs, errors)
    return {each: by_category[each] for each in Category if each in by_category}


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
