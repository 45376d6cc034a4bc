"""Where a command's figures come from: the database, or Prometheus where its address is given.

The settings stand in the environment too, so that the guard `soak` of an apply judges by the same figures.
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
    """Add the options that say where figures come from: `prometheus_url` and the two queries."""
    options = (
        click.option(
            "--prometheus-url",
            metavar="URL",
            help=f"Take the figures of jobs from this Prometheus; also {URL_VARIABLE}.",
        ),
        click.option(
            "--prometheus-query-jobs",
            metavar="PROMQL",
            help="What counts the jobs, with $feature and $window; "
            f"default: of the counter rollout_jobs_total; also {JOBS_VARIABLE}.",
        ),
        click.option(
            "--prometheus-query-errors",
            metavar="PROMQL",
            help="What counts those that failed; "
            f'default: those with outcome="failed"; also {ERRORS_VARIABLE}.',
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
    """Return the source that the options name, or else the environment; None for the database.

    Raises:
        SetupInvalid: an address, a query or a token can't be one.
    """
    url = prometheus_url or os.environ.get(URL_VARIABLE)
    if not url:
        if prometheus_query_jobs or prometheus_query_errors:
            raise click.UsageError("the queries go with --prometheus-url")
        return None
    # Most commands ask the database.
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
