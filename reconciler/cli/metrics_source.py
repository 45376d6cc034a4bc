"""The source of a command's metrics: the database, or Prometheus if its address is given.

The settings can come from the environment too, so the guard `soak` of an apply uses the same source.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from reconciler.planning.health import MetricsSource

URL_VARIABLE: Final = "PROMETHEUS_URL"
JOBS_VARIABLE: Final = "PROMETHEUS_QUERY_JOBS"
ERRORS_VARIABLE: Final = "PROMETHEUS_QUERY_ERRORS"
TOKEN_VARIABLE: Final = "PROMETHEUS_TOKEN"  # noqa: S105 - its name, not one

Command = TypeVar("Command", bound=Callable[..., Any])


def metrics_source_options(command: Command) -> Command:
    """Add the options of the metrics source: `prometheus_url` and the two queries."""
    options = (
        click.option(
            "--prometheus-url",
            metavar="URL",
            help=f"Read job metrics from this Prometheus; default: {URL_VARIABLE}, else the database.",
        ),
        click.option(
            "--prometheus-query-jobs",
            metavar="PROMQL",
            help="The query that counts jobs, with $feature and $window; "
            f"default: the counter rollout_jobs_total; also {JOBS_VARIABLE}.",
        ),
        click.option(
            "--prometheus-query-errors",
            metavar="PROMQL",
            help="The query that counts failed jobs; "
            f'default: outcome="failed"; also {ERRORS_VARIABLE}.',
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def choose_metrics_source(
    prometheus_url: str | None = None,
    prometheus_query_jobs: str | None = None,
    prometheus_query_errors: str | None = None,
) -> "MetricsSource | None":
    """Return the source of the options, else of the environment; None for the database.

    Raises:
        SetupInvalid: an address, a query or a token is invalid.
    """
    url = prometheus_url or os.environ.get(URL_VARIABLE)
    if not url:
        if prometheus_query_jobs or prometheus_query_errors:
            raise click.UsageError("the Prometheus queries need --prometheus-url")
        return None
    # Imported here, since most commands use the database.
    from reconciler.prometheus.server import PrometheusServer
    from reconciler.prometheus.source import PrometheusMetrics
    from reconciler.prometheus.templates import DEFAULT_ERRORS, DEFAULT_JOBS, Template

    jobs = prometheus_query_jobs or os.environ.get(JOBS_VARIABLE) or DEFAULT_JOBS
    errors = prometheus_query_errors or os.environ.get(ERRORS_VARIABLE) or DEFAULT_ERRORS
    return PrometheusMetrics(
        PrometheusServer.parse(url, os.environ.get(TOKEN_VARIABLE) or None),
        jobs=Template.parse(jobs, option="the Prometheus query of jobs"),
        errors=Template.parse(errors, option="the Prometheus query of errors"),
    )
