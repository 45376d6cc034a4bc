"""`reconcile health`: does each feature do well, and what else is worth a look."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.commands.override_actions import acted_lines
from reconciler.cli.commands.write_back import carry, report_text
from reconciler.cli.context import open_database, read_features
from reconciler.cli.metrics_source import choose_metrics_source, metrics_source_options
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import print_json, print_result
from reconciler.cli.render.escape import for_line
from reconciler.planning.health import (
    Indicator,
    Indicators,
    IndicatorStatus,
    Reason,
    Tally,
    Verdict,
    find_indicators,
)
from reconciler.wording import count, counted

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from reconciler.operations.safeguard import Watched
    from reconciler.planning.health import MetricsSource

EXIT_FAILING: Final = 2
EXIT_INCONCLUSIVE: Final = 3

_COLORS: Final = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}


@dataclass(frozen=True, slots=True)
class _Checked:
    """One feature as the safeguard found it, and what else is worth a look."""

    found: "Watched"
    indicators: Indicators


@click.command(epilog="Example: reconcile health --detailed-exitcode")
@click.option(
    "--detailed-exitcode",
    is_flag=True,
    help="Exit 2 where a feature fails, else 3 where one is inconclusive.",
)
@click.option("--rollback", is_flag=True, help="Roll back what fails, where the file allows it.")
@click.option("--no-write-back", is_flag=True, help="With --rollback: leave git alone.")
@metrics_source_options
@click.pass_context
def health(
    context: click.Context,
    /,
    *,
    detailed_exitcode: bool,
    rollback: bool,
    no_write_back: bool,
    **metrics: str | None,
) -> dict[str, Any]:
    """Judge every feature, or one, by the errors of its jobs."""
    from reconciler.database.transactions import read_only_transaction
    from reconciler.operations.safeguard import judge_and_roll_back

    if no_write_back and not rollback:
        raise click.UsageError("--no-write-back goes with --rollback")
    settings = settings_of(context)
    source = choose_metrics_source(**metrics)
    chosen = settings.choose_format(Format.TEXT, Format.JSON, Format.GITHUB)
    database = open_database(settings, to_write=rollback)
    features = read_features(settings, database)
    watched = judge_and_roll_back(database, features, source) if rollback else ()
    with read_only_transaction(database) as connection:
        found = watched or [_judge(connection, feature, source) for feature in features]
        checked = [_check(connection, each) for each in found]
    data = {"features": [_as_json(each) for each in checked]}
    text = "\n\n".join(map(_as_text, checked)) or "there is no feature yet"
    match chosen:
        case Format.JSON:
            for each in checked:
                if each.found.health.judgement.reason is Reason.SOURCE_FAILED:
                    settings.complain(f"{each.found.feature}: {each.found.health.sentence}")
            print_json(settings, data)
        case Format.GITHUB:
            from reconciler.cli.render.health_github import failing, health_markdown
            from reconciler.cli.workflow_output import annotate, print_plainly, summarize

            print_plainly(settings, text)
            annotate(settings, failing(each.found for each in checked))
            summarize(health_markdown(text))
        case _:
            print_result(settings, text)
    if rollback and not no_write_back:
        report = carry(settings, database)
        if report.overrides:
            settings.say(report_text(report))
    _raise_failure(settings, watched)
    if detailed_exitcode:
        context.exit(_exit_code(checked))
    return data


def _judge(connection: "Connection", feature: str, source: "MetricsSource | None") -> "Watched":
    from reconciler.database.health import read_health
    from reconciler.operations.safeguard import Watched

    return Watched(feature, read_health(connection, feature, source=source), rollback=None)


def _check(connection: "Connection", found: "Watched") -> _Checked:
    from reconciler.database.eligibility import read_participation

    participation = read_participation(connection, found.feature)
    return _Checked(
        found,
        find_indicators(
            repositories=participation.total,
            eligible_by_category=participation.eligible_by_category,
            test_repositories=participation.test_repositories,
        ),
    )


def _raise_failure(settings: Settings, watched: "Iterable[Watched]") -> None:
    """Say what could not be rolled back, and raise why, once all else is done and told."""
    failed = {each.feature: each.failure for each in watched if each.failure is not None}
    for feature in failed:
        settings.complain(f"{feature}: not rolled back")
    for failure in failed.values():
        raise failure


def _exit_code(checked: Iterable[_Checked]) -> int:
    verdicts = {each.found.health.judgement.verdict for each in checked}
    if Verdict.FAIL in verdicts:
        return EXIT_FAILING
    return EXIT_INCONCLUSIVE if Verdict.INCONCLUSIVE in verdicts else 0


def _as_json(checked: _Checked) -> dict[str, Any]:
    judgement, metrics = checked.found.health.judgement, checked.found.health.metrics
    total = None if metrics is None else metrics.total
    return {
        "name": checked.found.feature,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "error_rate": None if total is None else total.error_rate,
        "jobs": None if total is None else total.jobs,
        "errors": None if total is None else total.errors,
        "by_category": {} if metrics is None else _tallies(metrics.by_category),
        "by_processor": {} if metrics is None else _tallies(metrics.by_processor),
        "indicators": checked.indicators,
        "rolled_back": checked.found.rollback is not None,
    }


def _tallies(tallies: Mapping[Any, Tally]) -> dict[str, dict[str, Any]]:
    return {
        str(name): {"error_rate": each.error_rate, "jobs": each.jobs, "errors": each.errors}
        for name, each in tallies.items()
    }


def _as_text(checked: _Checked) -> str:
    judgement, metrics = checked.found.health.judgement, checked.found.health.metrics
    verdict = click.style(judgement.verdict, fg=_COLORS[judgement.verdict], bold=True)
    lines = [
        f"{click.style(for_line(checked.found.feature), bold=True)}: {verdict}",
        f"    {for_line(checked.found.health.sentence)}",
    ]
    if metrics is not None:
        lines += _shown("by category", metrics.by_category)
        lines += _shown("by processor", metrics.by_processor)
    if checked.found.rollback is not None:
        lines += acted_lines(checked.found.rollback)
    return "\n".join([*lines, *_indicator_lines(checked.indicators)])


def _shown(label: str, tallies: Mapping[Any, Tally]) -> Iterable[str]:
    for name, tally in tallies.items():
        shown = for_line(str(name))
        rate = f"{tally.error_rate or 0:.2f} %"
        yield f"    {label:<15}{shown:<16}{rate:>9} of {counted(tally.jobs, 'job')}"
        label = ""


def _indicator_lines(indicators: Indicators) -> Iterable[str]:
    participation, concentration = indicators.participation, indicators.concentration
    tests = indicators.test_repositories
    yield _line(
        "participation",
        participation,
        f"{_percent(participation)} of the repositories are eligible; "
        f"over {participation.limit} % is the target",
    )
    yield _line(
        "concentration",
        concentration,
        f"{_percent(concentration)} of those eligible are of one category; "
        f"at most {concentration.limit} % is the target",
    )
    yield _line(
        "test",
        tests,
        f"{counted(int(tests.value or 0), 'test repository')}; "
        f"{count(tests.limit)} or more is the target",
    )


def _percent(indicator: Indicator) -> str:
    return f"{Decimal(indicator.value or 0):.1f} %"


def _line(label: str, indicator: Indicator, text: str) -> str:
    color = "green" if indicator.status is IndicatorStatus.OK else "yellow"
    status = click.style(f"{indicator.status:<8}", fg=color)
    return f"    {label:<15}{status}{text}"
