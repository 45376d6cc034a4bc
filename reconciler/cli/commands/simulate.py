"""`reconcile simulate`: the time until a rollback, and the false alarms, of both methods."""

import random
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.text import Column, table
from reconciler.cli.types import Duration
from reconciler.planning.evidence import WINDOW
from reconciler.planning.health import HealthLimits
from reconciler.planning.simulation import Scenario, Simulation, simulate
from reconciler.rollout_file.durations import format_duration
from reconciler.rollout_file.health_method import HealthMethod
from reconciler.wording import count

if TYPE_CHECKING:
    from collections.abc import Sequence

_HOUR: Final = timedelta(hours=1)
_RATE: Final = click.FloatRange(0, 100)


@click.command(epilog="Example: reconcile simulate --error-rate 1 --new-error-rate 10 --jobs 300")
@click.option("--jobs", type=click.IntRange(12, 12_000), default=300, show_default=True,
              metavar="N", help="Jobs of the processor in an hour.")  # fmt: skip
@click.option("--fallback-jobs", type=click.IntRange(0, 120_000), default=900, show_default=True,
              metavar="N", help="Jobs of the fallback in an hour.")  # fmt: skip
@click.option("--error-rate", type=_RATE, default=1, show_default=True, metavar="PERCENT",
              help="The error rate of both while they are healthy.")  # fmt: skip
@click.option("--new-error-rate", type=_RATE, default=10, show_default=True, metavar="PERCENT",
              help="The error rate of the processor from the change on.")  # fmt: skip
@click.option("--good-for", type=Duration(), default="1h", show_default=True, metavar="TIME",
              help="The healthy time before the change.")  # fmt: skip
@click.option("--watch-for", type=Duration(), default="1d", show_default=True, metavar="TIME",
              help="The time from the change on.")  # fmt: skip
@click.option("--max-error-rate", type=_RATE, default=5, show_default=True, metavar="PERCENT",
              help="The limit of both methods.")  # fmt: skip
@click.option("--max-regression", type=_RATE, default=2, show_default=True, metavar="POINTS",
              help="The tolerance of evidence.")  # fmt: skip
@click.option("--false-alarms", type=click.FloatRange(0.0001, 0.5), default=0.001,
              show_default=True, metavar="SHARE",
              help="The share of false alarms that evidence allows.")  # fmt: skip
@click.option("--min-jobs", type=click.IntRange(1), default=10, show_default=True, metavar="N",
              help="The jobs that a threshold needs.")  # fmt: skip
@click.option("--rollouts", type=click.IntRange(10, 100_000), default=200, show_default=True,
              metavar="N", help="The number of simulated rollouts.")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, metavar="N",
              help="The same seed gives the same rollouts.")  # fmt: skip
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Simulate rollouts that become worse, and show when each method rolls them back.

    A rollout that is rolled back before the change is a false alarm. Nothing is read or written.
    """
    run(settings_of(context), **options)


def run(
    settings: Settings,
    *,
    jobs: int,
    fallback_jobs: int,
    error_rate: float,
    new_error_rate: float,
    good_for: timedelta,
    watch_for: timedelta,
    max_error_rate: float,
    max_regression: float,
    false_alarms: float,
    min_jobs: int,
    rollouts: int,
    seed: int,
) -> dict[str, Any]:
    """Print the results of both methods, and return them."""
    settings.choose_format(Format.TEXT, Format.JSON)
    scenario = Scenario(
        jobs=max(1, round(jobs * (WINDOW / _HOUR))),
        baseline_jobs=round(fallback_jobs * (WINDOW / _HOUR)),
        baseline_rate=error_rate / 100,
        new_rate=new_error_rate / 100,
        good_windows=good_for // WINDOW,
        windows=max(1, watch_for // WINDOW),
    )
    results = [
        (method, simulate(scenario, limits, rollouts=rollouts, random=random.Random(seed)))  # noqa: S311 - no secret
        for method in HealthMethod
        for limits in [
            HealthLimits(
                max_error_rate=Decimal(str(max_error_rate)),
                min_jobs=min_jobs,
                method=method,
                max_regression=Decimal(str(max_regression)),
                false_alarms=Decimal(str(false_alarms)),
            )
        ]
    ]
    found = {"methods": [_as_json(method, each) for method, each in results]}
    return show_result(settings, found, lambda: _as_text(results))


def _as_json(method: HealthMethod, found: Simulation) -> dict[str, Any]:
    return {
        "method": method,
        "rollouts": len(found.outcomes),
        "rolled_back": found.rolled_back - found.early,
        "false_alarms": found.early,
        "jobs": {"median": found.jobs_at(0.5), "ninth": found.jobs_at(0.9)},
        "seconds": {"median": _seconds(found, 0.5), "ninth": _seconds(found, 0.9)},
    }


def _seconds(found: Simulation, share: float) -> int | None:
    time = found.time_at(share)
    return None if time is None else round(time.total_seconds())


def _as_text(results: "Sequence[tuple[HealthMethod, Simulation]]") -> str:
    columns = (
        Column("method"),
        Column("false alarms", right=True),
        Column("rolled back", right=True),
        Column("half within", right=True),
        Column("nine of ten within", right=True),
    )
    return table(columns, (_row(method, found) for method, found in results))


def _row(method: HealthMethod, found: Simulation) -> tuple[str, ...]:
    return (
        method.value,
        f"{count(found.early)} of {count(len(found.outcomes))}",
        count(found.rolled_back - found.early),
        _within(found, 0.5),
        _within(found, 0.9),
    )


def _within(found: Simulation, share: float) -> str:
    jobs, time = found.jobs_at(share), found.time_at(share)
    if jobs is None or time is None:
        return "-"
    minutes = timedelta(minutes=max(1, round(time / timedelta(minutes=1))))
    return f"{count(jobs)} jobs, {format_duration(minutes)}"
